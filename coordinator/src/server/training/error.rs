//! Why a run does not go on.

use common::{
    ids::SubmissionId,
    store::{State, StoreError},
};

use super::machine::Diverged;
use crate::server::context::Context;

/// Why a run does not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    /// This coordinator is ending, or another one leads; the run goes on there.
    #[error("the coordinator is stopping")]
    Stopping,
    /// Someone closed the run: it was cancelled, or a job of it was discarded.
    #[error("the run was closed")]
    Closed,
    /// The store was put back to an older state: the run goes on from what it holds.
    #[error("the store does not hold the run's latest state any more")]
    Forgotten,
    /// It cannot be carried out.
    #[error("{0}")]
    Failed(String),
    /// The store does not serve.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for RunError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Replaced => Self::Stopping,
            error => Self::Store(error),
        }
    }
}

impl From<Diverged> for RunError {
    fn from(diverged: Diverged) -> Self {
        Self::Failed(diverged.to_string())
    }
}

impl RunError {
    /// Whether the run can go on from its checkpoint.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Forgotten => true,
            Self::Store(error) => error.is_retryable(),
            Self::Stopping | Self::Closed | Self::Failed(_) => false,
        }
    }
}

/// Checks that the run is to go on.
///
/// # Errors
/// When it was closed or put back meanwhile, or the store does not serve.
pub(super) async fn require_open(context: &Context, run: SubmissionId) -> Result<(), RunError> {
    match context.store.state(run).await? {
        Some(State::Running) => Ok(()),
        Some(State::Preparing) => Err(RunError::Forgotten),
        _ => Err(RunError::Closed),
    }
}
