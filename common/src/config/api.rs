//! The coordinator's API: address and access tokens.

use std::path::PathBuf;

use documented::{Documented, DocumentedFields};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    error::{ConfigError, Origins, fail},
    secret,
};

/// Coordinator API: address and access tokens.
#[derive(Clone, Debug, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default)]
pub struct ApiSettings {
    /// URL that the coordinator listens on and the command line connects to.
    pub url: Url,
    /// File of access tokens that the coordinator accepts, one `NAME SCOPE SHA256` a line; re-read when it
    /// changes. If unset, the API listens on loopback only and accepts every request.
    pub tokens_file: Option<PathBuf>,
    /// Open connections that the coordinator accepts from one address, or one IPv6 /64, of 1024 in all. Raise it if
    /// many clients share an address, such as that of a proxy.
    pub max_connections_per_peer: usize,
    /// Access token that the command line sends.
    #[serde(serialize_with = "secret::hidden")]
    pub token: Option<SecretString>,
    /// File that contains the access token, instead of `SUBWATCH_TOKEN`.
    pub token_file: Option<PathBuf>,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            url: Url::parse("http://127.0.0.1:8470").expect("the literal is a URL"),
            tokens_file: None,
            max_connections_per_peer: 256,
            token: None,
            token_file: None,
        }
    }
}

impl ApiSettings {
    pub(super) fn read_files(&mut self, origins: &Origins) -> Result<(), ConfigError> {
        secret::read_into(&mut self.token, "token", "the token", self.token_file.as_deref(), origins)
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !["http", "https"].contains(&self.url.scheme()) || self.url.host().is_none() {
            return fail("url", &self.url, "an http URL such as http://127.0.0.1:8470");
        }
        if !self.url.username().is_empty() || self.url.password().is_some() {
            let want = "without user and password: set the access token in SUBWATCH_TOKEN";
            return fail("url", &secret::hide_password(&self.url), want);
        }
        if self.max_connections_per_peer == 0 {
            return fail("max_connections_per_peer", &self.max_connections_per_peer, "at least 1");
        }
        Ok(())
    }
}
