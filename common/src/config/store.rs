//! How to reach Redis, and which of its keys belong to this installation.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{
    ca_certificates,
    error::{ConfigError, Origins, fail},
    secret,
};
use crate::ca_certificates::CaCertificates;

/// Redis: its URL, whom its certificate is checked against, and the prefix of its keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreSettings {
    /// Redis, as `redis://user:password@host:port/database`. Default `redis://127.0.0.1:6379/0`.
    #[serde(serialize_with = "secret::without_password")]
    pub redis_url: SecretString,
    /// File that holds `redis_url`. Give one of the two.
    pub redis_url_file: Option<PathBuf>,
    /// PEM file of the ca_certificates whose signature Redis's certificate must bear, over `rediss://`.
    /// Default: those of the system.
    pub redis_ca_file: Option<PathBuf>,
    /// What `redis_ca_file` holds.
    #[serde(skip)]
    pub redis_ca_certificates: Option<CaCertificates>,
    /// What every Redis key begins with. Default `subwatch:`.
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
                "free of braces, which mark the hash tag",
            );
        }
        Ok(())
    }
}
