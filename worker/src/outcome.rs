//! How a job ends.
//!
//! Owns the one vocabulary for it: a job returns an [`Outcome`] or fails with a [`JobError`]. Does not own the
//! effects: the queue's queue::disposition is the only place that turns an outcome into them.

use common::{
    job::{discard::DiscardReason, outcome::ItemResult},
    store::{Snooze, StoreError},
    training::tree::Node,
};

/// How a job ends.
pub enum Outcome {
    /// Every item is resolved: these results, by submission-wide index, finish the job.
    Items(Vec<(u64, ItemResult)>),
    /// The answer of one node of a training pass finishes the job.
    Node {
        /// Parameter version it was computed with.
        version: u64,
        /// The node.
        node: Node,
        /// Encoded gradient sum or predictions.
        bytes: Vec<u8>,
    },
    /// The job is acknowledged and changes nothing, for this reason.
    Ignored(&'static str),
    /// The job is tried again after a delay, at the cost of an attempt.
    Retry {
        /// Why.
        error: String,
        /// What the attempt resolved, by submission-wide index.
        results: Vec<(u64, ItemResult)>,
    },
    /// The job is deferred as the same attempt.
    Snooze(Snooze),
    /// The job is dead-lettered.
    Discard {
        /// Its class, for statistics.
        reason: DiscardReason,
        /// What happened.
        error: String,
    },
    /// The job is released unfinished to another worker.
    Release,
    /// The job is over its time limit and cannot be stopped: the worker ends.
    TimedOut,
}

impl Outcome {
    /// Makes a [`Outcome::Discard`].
    pub fn discard(reason: DiscardReason, error: impl Into<String>) -> Self {
        Self::Discard { reason, error: error.into() }
    }

    /// Makes a [`Outcome::Retry`] of an attempt that resolved nothing.
    pub fn retry(error: impl Into<String>) -> Self {
        Self::Retry { error: error.into(), results: Vec::new() }
    }
}

/// Why a job as a whole cannot be carried out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JobError {
    /// It may succeed later or elsewhere; it is tried again after a delay.
    #[error("{0}")]
    Retryable(String),
    /// It never will; it is dead-lettered.
    #[error("{0}")]
    Permanent(String),
    /// The store does not serve; the worker waits for it.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        if error.is_retryable() { Self::Store(error) } else { Self::Permanent(error.to_string()) }
    }
}
