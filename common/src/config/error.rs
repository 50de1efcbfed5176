//! Configuration errors, and the names under which users know settings.

use std::{collections::BTreeMap, fmt};

/// Prefix of every environment variable.
pub(super) const PREFIX: &str = "SUBWATCH";

/// Origin of each setting that is not at its default: `flag`, the environment variable, or the file.
pub(super) type Origins = BTreeMap<String, String>;

/// The environment variable of a key.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}_{}", key.to_uppercase())
}

/// An invalid configuration, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{name}{text}")]
pub struct ConfigError {
    /// The setting at fault, if it is a single one.
    key: Option<String>,
    /// The flag, variable or line of the file that set it.
    name: String,
    text: String,
}

impl ConfigError {
    /// The setting `key` is `value` but must be `want`.
    #[must_use]
    pub fn invalid(key: &str, value: &dyn fmt::Display, want: &str) -> Self {
        Self::about(key, format!(" is '{value}': it must be {want}"))
    }

    /// An error whose `text` follows the name of the setting `key`.
    pub(super) fn about(key: &str, text: String) -> Self {
        Self { key: Some(key.to_owned()), name: variable(key), text }
    }

    pub(super) fn general(text: impl Into<String>) -> Self {
        Self { key: None, name: String::new(), text: text.into() }
    }

    /// Names the setting by its origin.
    pub(super) fn named_by(mut self, origins: &Origins) -> Self {
        let Some(key) = &self.key else { return self };
        match origins.get(key).map(String::as_str) {
            Some("flag") => self.name = format!("--{}", key.replace('_', "-")),
            Some(origin) if *origin != variable(key) => self.name = format!("{key} in {origin}"),
            Some(_) | None => {}
        }
        self
    }
}

/// Returns [`ConfigError::invalid`] as an error.
pub(super) fn fail(key: &str, value: &dyn fmt::Display, want: &str) -> Result<(), ConfigError> {
    Err(ConfigError::invalid(key, value, want))
}
