//! How to reach RabbitMQ.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{
    ca_certificates,
    error::{ConfigError, Origins},
    secret,
};
use crate::ca_certificates::CaCertificates;

/// RabbitMQ: its URL, and whom its certificate is checked against.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct BrokerSettings {
    /// RabbitMQ, as `amqp://user:password@host:port/vhost`. Default `amqp://guest:guest@127.0.0.1:5672/%2f`.
    #[serde(serialize_with = "secret::without_password")]
    pub amqp_url: SecretString,
    /// File that holds `amqp_url`, for secrets that are mounted as files. Give one of the two.
    pub amqp_url_file: Option<PathBuf>,
    /// PEM file of the ca_certificates whose signature RabbitMQ's certificate must bear, over `amqps://`.
    /// Default: those of the system.
    pub amqp_ca_file: Option<PathBuf>,
    /// What `amqp_ca_file` holds.
    #[serde(skip)]
    pub amqp_ca_certificates: Option<CaCertificates>,
}

impl Default for BrokerSettings {
    fn default() -> Self {
        Self {
            amqp_url: "amqp://guest:guest@127.0.0.1:5672/%2f".into(),
            amqp_url_file: None,
            amqp_ca_file: None,
            amqp_ca_certificates: None,
        }
    }
}

impl BrokerSettings {
    pub(super) fn read_files(&mut self, origins: &Origins) -> Result<(), ConfigError> {
        secret::read_into(&mut self.amqp_url, "amqp_url", "the URL", self.amqp_url_file.as_deref(), origins)?;
        self.amqp_ca_certificates =
            ca_certificates::read("amqp", self.amqp_ca_file.as_deref(), &self.amqp_url, &["amqps"])?;
        Ok(())
    }
}
