//! Secrets: masking them, and reading them from files.

use std::{fs, path::Path};

use secrecy::{ExposeSecret, SecretString};
use serde::Serializer;
use url::Url;

use super::error::{ConfigError, Origins, variable};

/// Replaces a secret in output.
pub(super) const HIDDEN: &str = "***";

/// Serialises a URL with `***` for its password. A value that is not a URL is masked entirely.
pub(super) fn without_password<S: Serializer>(url: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    let shown = Url::parse(url.expose_secret()).ok().and_then(|mut url| {
        if url.password().is_some() {
            url.set_password(Some(HIDDEN)).ok()?;
        }
        Some(url.to_string())
    });
    serializer.serialize_str(shown.as_deref().unwrap_or(HIDDEN))
}

/// Replaces the password by `***`.
pub(super) fn hide_password(url: &Url) -> Url {
    let mut shown = url.clone();
    let _ = shown.set_password(url.password().map(|_| HIDDEN));
    shown
}

/// Serialises a secret as `***`, and `None` as null.
pub(super) fn hidden<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(_) => serializer.serialize_some(HIDDEN),
        None => serializer.serialize_none(),
    }
}

/// Reads the secret `key` from the file at `path`, if set; `content` describes the secret in errors.
pub(super) fn read_into(
    secret: &mut impl From<SecretString>,
    key: &str,
    content: &str,
    path: Option<&Path>,
    origins: &Origins,
) -> Result<(), ConfigError> {
    let Some(path) = path else { return Ok(()) };
    let invalid = |want: &str| ConfigError::invalid(&format!("{key}_file"), &path.display(), want);
    if origins.contains_key(key) {
        let both = format!(" and {} are both set: set one of them", variable(key));
        return Err(ConfigError::about(&format!("{key}_file"), both));
    }
    let text = read(path).map_err(|error| invalid(&format!("a file that contains {content} ({error})")))?;
    *secret = SecretString::from(text).into();
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let secret = text.trim();
    if secret.is_empty() { Err("the file is empty".to_owned()) } else { Ok(secret.to_owned()) }
}
