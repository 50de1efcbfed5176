//! The error type of the server's operations.
//!
//! `http::problem` maps each variant to a status and problem details.

use common::store::StoreError;
use dataset::files::roots::RootError;

/// Why a request was rejected. Clients see the text.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// The request is malformed or a value is out of range.
    #[error("{0}")]
    Invalid(String),
    /// A path or address is outside the permitted ones.
    #[error("{0}")]
    Forbidden(String),
    #[error("{0}")]
    NotFound(String),
    /// The current state of the resource does not permit the request.
    #[error("{0}")]
    Conflict(String),
    /// A limit on concurrent or stored work is reached.
    #[error("{0}")]
    Busy(String),
    /// A server or storage that the request needs is unavailable.
    #[error("{0}")]
    Unavailable(String),
}

impl From<StoreError> for RequestError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "request failed: Redis is unavailable");
        if let StoreError::OutOfMemory(_) = error {
            return Self::Unavailable(
                "Redis is out of memory: ask an operator to run `subwatch doctor`".to_owned(),
            );
        }
        Self::Unavailable("the coordinator cannot reach Redis: try again when it is back; running jobs continue by themselves".to_owned())
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
