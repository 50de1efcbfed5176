//! Why a request is not carried out.
//!
//! Owns the kinds of refusal that the operations of the server know, and how errors of the store become one.
//! Does not own how a refusal looks to a client: `http::problem` maps each kind to a status and a problem.

use common::store::StoreError;
use dataset::files::roots::RootError;

/// Why a request is not carried out; the text is for the caller.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// The request is wrong; the text says what to change.
    #[error("{0}")]
    Invalid(String),
    /// It asks for something outside what is allowed.
    #[error("{0}")]
    Forbidden(String),
    /// What it names does not exist.
    #[error("{0}")]
    NotFound(String),
    /// What it names is in a state in which it makes no sense.
    #[error("{0}")]
    Conflict(String),
    /// Too much is going on already.
    #[error("{0}")]
    Busy(String),
    /// It cannot be served now.
    #[error("{0}")]
    Unavailable(String),
}

impl From<StoreError> for RequestError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a request met a store that does not serve");
        Self::Unavailable("the store does not serve now; try again".to_owned())
    }
}

impl From<RootError> for RequestError {
    fn from(error: RootError) -> Self {
        match error {
            RootError::Missing { .. } => Self::NotFound(error.to_string()),
            RootError::Outside { .. } => Self::Forbidden(error.to_string()),
            _ => Self::Invalid(error.to_string()),
        }
    }
}
