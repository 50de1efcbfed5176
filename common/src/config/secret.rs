//! Secrets, as people may see them.

use secrecy::{ExposeSecret, SecretString};
use serde::Serializer;
use url::Url;

/// What stands for a secret.
pub(super) const HIDDEN: &str = "***";

/// Serialises a URL with `***` for its password; what is no URL is hidden whole.
pub(super) fn without_password<S: Serializer>(url: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    let shown = Url::parse(url.expose_secret()).ok().and_then(|mut url| {
        if url.password().is_some() {
            url.set_password(Some(HIDDEN)).ok()?;
        }
        Some(url.to_string())
    });
    serializer.serialize_str(shown.as_deref().unwrap_or(HIDDEN))
}

/// Serialises a secret as `***`, and its absence as null.
pub(super) fn hidden<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(_) => serializer.serialize_some(HIDDEN),
        None => serializer.serialize_none(),
    }
}
