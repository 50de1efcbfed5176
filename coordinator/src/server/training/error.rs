//! Why driving a run stops.

use common::{
    ids::SubmissionId,
    store::{State, StoreError},
};

use super::machine::Diverged;
use crate::server::context::Context;

#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    /// This coordinator is stopping or another one is the leader; the run continues there.
    #[error("the coordinator is stopping")]
    Stopping,
    /// The run was cancelled, or one of its jobs was discarded.
    #[error("the run was closed")]
    Closed,
    /// The store was restored from an older state; the run continues from that.
    #[error("the store has lost the run's latest state")]
    StateLost,
    /// Permanent; the text is for the user.
    #[error("{0}")]
    Failed(String),
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
    /// Returns whether the run can continue from its checkpoint.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::StateLost => true,
            Self::Store(error) => error.is_retryable(),
            Self::Stopping | Self::Closed | Self::Failed(_) => false,
        }
    }
}

/// Checks that the run is still running.
pub(super) async fn require_open(context: &Context, run: SubmissionId) -> Result<(), RunError> {
    match context.store.state(run).await? {
        Some(State::Running) => Ok(()),
        Some(State::Preparing) => Err(RunError::StateLost),
        _ => Err(RunError::Closed),
    }
}
