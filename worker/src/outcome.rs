//! The result of an attempt: a job returns an [`Outcome`] or fails with a [`JobError`].
//!
//! Only `queue::disposition` turns an outcome into effects.

use common::{
    job::{discard::DiscardReason, outcome::ItemResult},
    store::{Snooze, StoreError},
    training::tree::Node,
};

/// The result of an attempt.
pub enum Outcome {
    /// Finished: the result of every item, by submission-wide index.
    Items(Vec<(u64, ItemResult)>),
    /// Finished: the result of one node of a training pass.
    Node {
        /// Version of the parameters it was computed with.
        version: u64,
        node: Node,
        /// Encoded gradient sum or predictions.
        bytes: Vec<u8>,
    },
    /// The job is acknowledged without effect, for this reason.
    Ignored(&'static str),
    /// The job is retried after a delay, which uses up an attempt.
    Retry {
        error: String,
        /// Results of the items that are resolved, by submission-wide index.
        results: Vec<(u64, ItemResult)>,
    },
    /// The job is deferred without using up an attempt.
    Snooze(Snooze),
    /// The job is dead-lettered.
    Discard { reason: DiscardReason, error: String },
    /// The job is requeued unfinished.
    Release,
    /// The job exceeded its time limit and cannot be cancelled, so the worker process must end.
    TimedOut,
}

impl Outcome {
    pub fn discard(reason: DiscardReason, error: impl Into<String>) -> Self {
        Self::Discard { reason, error: error.into() }
    }

    /// A retry of an attempt that resolved no items.
    pub fn retry(error: impl Into<String>) -> Self {
        Self::Retry { error: error.into(), results: Vec::new() }
    }
}

/// Why a job as a whole failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JobError {
    /// The job may succeed later or on another worker: it is retried after a delay.
    #[error("{0}")]
    Retryable(String),
    /// The job can never succeed: it is dead-lettered.
    #[error("{0}")]
    Permanent(String),
    /// Redis is unavailable: the worker waits for it and runs the job again.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        if error.is_retryable() { Self::Store(error) } else { Self::Permanent(error.to_string()) }
    }
}
