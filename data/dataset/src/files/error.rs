//! Errors of listing, reading and writing files.

use std::fmt::Display;

use url::Url;

/// Why a root cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("{0} is not supported: use a file:// or s3:// URL")]
    Scheme(Url),
    /// The object store's URL or settings are invalid.
    #[error("{root} cannot be used: {reason}")]
    Settings { root: Url, reason: String },
    #[error(
        "{root} is outside the {setting} of this process ({allowed}): give {setting} the same value for coordinators \
         and workers"
    )]
    Outside {
        root: Url,
        setting: &'static str,
        /// Separated by `:`.
        allowed: Box<str>,
    },
    #[error("{root} cannot be listed: {reason}")]
    List {
        /// The root, or the subfolder that failed.
        root: String,
        reason: String,
    },
}

/// Why a file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("'{name}' does not exist")]
    Missing { name: String },
    #[error("'{name}' has {bytes} bytes, over the limit of {limit}")]
    TooLarge { name: String, bytes: u64, limit: u64 },
    /// The path is outside the root, is not a regular file, or access is denied.
    #[error("'{name}': {reason}")]
    Refused { name: String, reason: String },
    /// The storage failed; the same call may succeed later.
    #[error("'{name}': {reason}")]
    Unavailable { name: String, reason: String },
}

impl FilesError {
    /// Whether another process may succeed: it may have other roots.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Outside { .. })
    }
}

impl ReadError {
    /// Whether a retry may succeed because the storage failed, not the file.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    pub(super) fn missing(name: &str) -> Self {
        Self::Missing { name: name.to_owned() }
    }

    pub(super) fn refused(name: &str, reason: &dyn Display) -> Self {
        Self::Refused { name: name.to_owned(), reason: reason.to_string() }
    }

    pub(super) fn unavailable(name: &str, reason: &dyn Display) -> Self {
        Self::Unavailable { name: name.to_owned(), reason: reason.to_string() }
    }

    pub(super) fn require_size(name: &str, bytes: u64, limit: u64) -> Result<(), Self> {
        if bytes > limit { Err(Self::TooLarge { name: name.to_owned(), bytes, limit }) } else { Ok(()) }
    }
}
