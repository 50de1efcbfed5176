//! Files of CA certificates to verify servers with.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::error::{ConfigError, variable};
use crate::ca_certificates::CaCertificates;

/// Reads the file of `{key}_ca_file`, if set; `url` must then have one of the `encrypted` schemes.
pub(super) fn read(
    key: &str,
    path: Option<&Path>,
    url: &SecretString,
    encrypted: &[&str],
) -> Result<Option<CaCertificates>, ConfigError> {
    let Some(path) = path else { return Ok(None) };
    let invalid = |want: &str| ConfigError::invalid(&format!("{key}_ca_file"), &path.display(), want);
    let scheme = url.expose_secret().split("://").next().unwrap_or_default();
    // A CA file implies that the operator expects an encrypted connection.
    if !encrypted.contains(&scheme) {
        let url_key = variable(&format!("{key}_url"));
        return Err(invalid(&format!("unset unless {url_key} starts with {}://", encrypted[0])));
    }
    let ca_certificates = CaCertificates::read(path);
    ca_certificates.map(Some).map_err(|error| invalid(&format!("a PEM file of certificates ({error})")))
}
