//! What is wrong with a setting, and what the user knows the setting by.

use std::{collections::BTreeMap, fmt};

/// Prefix of every environment variable.
pub(super) const PREFIX: &str = "SUBWATCH";

/// Where each setting comes from that is not at its default: `flag`, its variable, or the file.
pub(super) type Origins = BTreeMap<String, String>;

/// The environment variable of a key.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}_{}", key.to_uppercase())
}

/// What is wrong with the settings, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{place}{text}")]
pub struct ConfigError {
    /// The setting, where it is about one.
    key: Option<String>,
    /// What the user knows the setting by.
    place: String,
    text: String,
}

impl ConfigError {
    /// Says that the setting `key` has `value` where it must be `want`.
    #[must_use]
    pub fn invalid(key: &str, value: &dyn fmt::Display, want: &str) -> Self {
        Self::about(key, format!(" is '{value}': it must be {want}"))
    }

    /// An error whose `text` follows the name of the setting `key`.
    pub(super) fn about(key: &str, text: String) -> Self {
        Self { key: Some(key.to_owned()), place: variable(key), text }
    }

    pub(super) fn general(text: impl Into<String>) -> Self {
        Self { key: None, place: String::new(), text: text.into() }
    }

    /// Names the setting as the user who gave it knows it.
    pub(super) fn named_by(mut self, origins: &Origins) -> Self {
        let Some(key) = &self.key else { return self };
        match origins.get(key).map(String::as_str) {
            Some("flag") => self.place = format!("--{}", key.replace('_', "-")),
            Some(origin) if *origin != variable(key) => self.place = format!("{key} in {origin}"),
            Some(_) | None => {}
        }
        self
    }
}

/// [`ConfigError::invalid`], as the result of a check.
pub(super) fn fail(key: &str, value: &dyn fmt::Display, want: &str) -> Result<(), ConfigError> {
    Err(ConfigError::invalid(key, value, want))
}
