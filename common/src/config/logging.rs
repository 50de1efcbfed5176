//! Logs and health probes.

use std::net::SocketAddr;

use documented::{Documented, DocumentedFields};
use serde::{Deserialize, Serialize};

use super::error::{ConfigError, fail};

/// Logs and health probes.
#[derive(Clone, Debug, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default)]
pub struct LoggingSettings {
    /// `IP:PORT` that serves `/healthz` and `/readyz` and nothing else. If unset, a worker has no probes and
    /// the coordinator serves them on its API only.
    pub health_address: Option<SocketAddr>,
    /// Log filter, as `tracing` directives. `lapin=off` because lapin logs whole messages.
    pub log: String,
    /// Log format: `human`, `json`, or `auto` (human on a terminal, JSON otherwise).
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
