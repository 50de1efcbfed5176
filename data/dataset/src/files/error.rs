//! Why files are not listed, read or written.

use std::fmt::Display;

use url::Url;

/// Why a root cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The scheme is not one this program reads.
    #[error("{0} is no folder this program can read: only file:// and s3:// URLs are supported")]
    Scheme(Url),
    /// The settings of the object store are wrong.
    #[error("{root} cannot be used: {what}")]
    Settings {
        /// The root.
        root: Url,
        /// What is wrong.
        what: String,
    },
    /// The root cannot be listed.
    #[error("{root} cannot be listed: {what}")]
    List {
        /// The root, or the folder below it.
        root: String,
        /// What the system said.
        what: String,
    },
}

/// Why a file is not read or written.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not there.
    #[error("there is no file '{name}'")]
    Missing {
        /// Its name.
        name: String,
    },
    /// It is over the limit.
    #[error("'{name}' has {bytes} bytes, over the limit of {limit}")]
    TooLarge {
        /// Its name.
        name: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The name leads outside the root, or to something that is no regular file.
    #[error("'{name}' {what}")]
    Refused {
        /// Its name.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// The storage fails now; the same call may succeed later.
    #[error("'{name}': {what}")]
    Unavailable {
        /// Its name.
        name: String,
        /// What the storage said.
        what: String,
    },
}

impl ReadError {
    /// Whether reading again later may succeed: the storage failed, not the file.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    pub(super) fn missing(name: &str) -> Self {
        Self::Missing { name: name.to_owned() }
    }

    pub(super) fn refused(name: &str, what: &dyn Display) -> Self {
        Self::Refused { name: name.to_owned(), what: what.to_string() }
    }

    pub(super) fn unavailable(name: &str, what: &dyn Display) -> Self {
        Self::Unavailable { name: name.to_owned(), what: what.to_string() }
    }

    pub(super) fn require_size(name: &str, bytes: u64, limit: u64) -> Result<(), Self> {
        if bytes > limit { Err(Self::TooLarge { name: name.to_owned(), bytes, limit }) } else { Ok(()) }
    }
}
