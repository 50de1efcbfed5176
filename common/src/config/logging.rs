//! What a process tells its operators: its log, and the answers to probes.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::error::{ConfigError, fail};

/// Logs and probes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct LoggingSettings {
    /// Where `/healthz` and `/readyz` are served beside the API, as `IP:PORT`; there is nothing else, so
    /// any address may be given. Default: nowhere.
    pub health_address: Option<SocketAddr>,
    /// What is logged, as a `tracing` filter. Default `info,lapin=off`: lapin dumps whole messages.
    pub log: String,
    /// Log form: `auto` (human on a terminal, JSON otherwise), `human` or `json`. Default `auto`.
    pub log_format: String,
}

impl Default for LoggingSettings {
    fn default() -> Self {
        Self { health_address: None, log: "info,lapin=off".to_owned(), log_format: "auto".to_owned() }
    }
}

impl LoggingSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !["auto", "human", "json"].contains(&self.log_format.as_str()) {
            return fail("log_format", &self.log_format, "auto, human or json");
        }
        Ok(())
    }
}
