//! Why a submission does not go on.

use common::store::StoreError;

/// Why a submission does not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmissionError {
    /// It cannot be carried out; the text is for its submitter.
    #[error("{0}")]
    Failed(String),
    /// The store does not serve.
    #[error(transparent)]
    Store(StoreError),
    /// This coordinator is ending, or another one leads.
    #[error("the coordinator is stopping")]
    Stopping,
}

impl From<StoreError> for SubmissionError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Replaced => Self::Stopping,
            error => Self::Store(error),
        }
    }
}
