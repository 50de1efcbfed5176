//! Connection to RabbitMQ.

use std::path::PathBuf;

use documented::{Documented, DocumentedFields};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{
    ca_certificates,
    error::{ConfigError, Origins},
    secret,
};
use crate::ca_certificates::CaCertificates;

/// RabbitMQ, version 3.10 or later.
#[derive(Clone, Debug, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default)]
pub struct BrokerSettings {
    /// URL of RabbitMQ: `amqp[s]://USER:PASSWORD@HOST:PORT/VHOST`.
    #[serde(serialize_with = "secret::without_password")]
    pub amqp_url: SecretString,
    /// File that contains the URL, instead of `SUBWATCH_AMQP_URL`.
    pub amqp_url_file: Option<PathBuf>,
    /// PEM file of CA certificates to verify RabbitMQ's certificate with, for `amqps://`. If unset, the
    /// system's certificates.
    pub amqp_ca_file: Option<PathBuf>,
    /// The certificates of `amqp_ca_file`.
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
