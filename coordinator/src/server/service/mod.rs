//! The coordinator's operations, as the HTTP API calls them.
//!
//! Owns the seam between the transport and the work: typed requests in, views or [`RequestError`]s out, one
//! file for each group of operations. Does not own how anything is carried out (see `submissions`, `runs` and
//! `similar`).

mod admission;
mod dead;
mod images;
mod runs;
mod similar;
mod submissions;
mod system;

use std::sync::Arc;

use common::{
    ids::SubmissionId,
    store::{StoreError, Submission},
};

pub use self::{admission::IdempotencyKey, dead::DeadAction};
use super::context::Context;

/// The running coordinator. Clones share it.
#[derive(Clone)]
pub struct Coordinator {
    context: Arc<Context>,
}

/// Why a request is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The request is wrong; the text says what to change. HTTP 422.
    #[error("{0}")]
    Invalid(String),
    /// It asks for something outside what is allowed. HTTP 403.
    #[error("{0}")]
    Forbidden(String),
    /// What it names is not there. HTTP 404.
    #[error("{0}")]
    NotFound(String),
    /// What it names is in a state in which it makes no sense. HTTP 409.
    #[error("{0}")]
    Conflict(String),
    /// Too much is going on already. HTTP 429.
    #[error("{0}")]
    Busy(String),
    /// It cannot be served now. HTTP 503.
    #[error("{0}")]
    Unavailable(String),
}

impl From<StoreError> for RequestError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a request met a store that does not serve");
        Self::Unavailable("the store does not serve now; try again".to_owned())
    }
}

impl Coordinator {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    /// The background work.
    pub(crate) fn tracker(&self) -> &tokio_util::task::TaskTracker {
        &self.context.tracker
    }

    async fn find(&self, id: SubmissionId) -> Result<Submission, RequestError> {
        let found = self.context.store.submission(id).await?;
        found.ok_or_else(|| {
            RequestError::NotFound(format!("there is no submission or run {id}, or it has expired"))
        })
    }
}

/// Reads a cursor that is the id of what was listed last.
fn parse_id_cursor(cursor: Option<&str>) -> Result<Option<SubmissionId>, RequestError> {
    let parse =
        |text: &str| text.parse().map_err(|_| RequestError::Invalid(format!("'{text}' is no cursor")));
    cursor.map(parse).transpose()
}
