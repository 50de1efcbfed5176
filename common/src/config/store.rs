//! Connection to Redis, and the prefix of this installation's keys.

use std::path::PathBuf;

use documented::{Documented, DocumentedFields};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{
    ca_certificates,
    error::{ConfigError, Origins, fail},
    secret,
};
use crate::ca_certificates::CaCertificates;

/// Redis, version 7 or later.
#[derive(Clone, Debug, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default)]
pub struct StoreSettings {
    /// URL of Redis: `redis[s]://USER:PASSWORD@HOST:PORT/DATABASE`.
    #[serde(serialize_with = "secret::without_password")]
    pub redis_url: SecretString,
    /// File that contains the URL, instead of `SUBWATCH_REDIS_URL`.
    pub redis_url_file: Option<PathBuf>,
    /// PEM file of CA certificates to verify Redis's certificate with, for `rediss://`. If unset, the
    /// system's certificates.
    pub redis_ca_file: Option<PathBuf>,
    /// The certificates of `redis_ca_file`.
    #[serde(skip)]
    pub redis_ca_certificates: Option<CaCertificates>,
    /// Prefix of every Redis key.
    pub redis_key_prefix: String,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            redis_url: "redis://127.0.0.1:6379/0".into(),
            redis_url_file: None,
            redis_ca_file: None,
            redis_ca_certificates: None,
            redis_key_prefix: "subwatch:".to_owned(),
        }
    }
}

impl StoreSettings {
    pub(super) fn read_files(&mut self, origins: &Origins) -> Result<(), ConfigError> {
        secret::read_into(
            &mut self.redis_url,
            "redis_url",
            "the URL",
            self.redis_url_file.as_deref(),
            origins,
        )?;
        let path = self.redis_ca_file.as_deref();
        self.redis_ca_certificates =
            ca_certificates::read("redis", path, &self.redis_url, &["rediss", "valkeys"])?;
        Ok(())
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.redis_key_prefix.contains(['{', '}']) {
            return fail(
                "redis_key_prefix",
                &self.redis_key_prefix,
                "without braces, which mark the hash tag of a key",
            );
        }
        Ok(())
    }
}
