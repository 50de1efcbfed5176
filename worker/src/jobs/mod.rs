//! The job kinds this worker carries out, one file each.
//!
//! Owns the `match` from a kind to its code, and the classes of error a job ends with. Does not own
//! deliveries, marks or retries (see [`crate::queue::dispatch`]).

mod crawl;
#[cfg(feature = "model")]
mod embed;
#[cfg(feature = "model")]
mod items;
#[cfg(feature = "model")]
mod predict;
mod train_epoch;

use common::{
    job::{args::JobArgs, envelope::Envelope, outcome::ItemResult},
    store::{Pause, StoreError},
    training::tree::Node,
};

use crate::worker::Worker;

/// What a job answers with.
pub enum Outcome {
    /// Results of items.
    Items {
        /// By submission-wide index.
        results: Vec<(u64, ItemResult)>,
        /// Why the other items are to be tried again; nothing when there are none.
        unresolved: Option<String>,
    },
    /// The answer of one node of a training pass.
    Node {
        /// Parameter version it was computed with.
        version: u64,
        /// The node.
        node: Node,
        /// Encoded gradient sum or predictions.
        bytes: Vec<u8>,
    },
    /// Nothing: a newer version made the work pointless.
    Stale,
}

/// Why a job as a whole cannot be carried out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JobError {
    /// It may succeed later or elsewhere; it is tried again after a delay.
    #[error("{0}")]
    Retryable(String),
    /// It may succeed later, and nobody is to blame: it rests, which costs no attempt.
    #[error("it rests: {}", .0.reason)]
    Rests(Pause),
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

/// Carries out a job. `repeated` says that it may have been worked on before.
///
/// # Errors
/// When the job as a whole cannot be carried out; a bad item is an item's failure, not an error.
pub async fn run(worker: &Worker, job: &Envelope, repeated: bool) -> Result<Outcome, JobError> {
    match &job.args {
        #[cfg(feature = "model")]
        JobArgs::Embed(args) => embed::run(worker, job, args, repeated).await,
        #[cfg(feature = "model")]
        JobArgs::Predict(args) => predict::run(worker, job, args, repeated).await,
        #[cfg(not(feature = "model"))]
        JobArgs::Embed(_) | JobArgs::Predict(_) => {
            let _ = repeated;
            Err(JobError::Retryable("this worker is built without a model".to_owned()))
        }
        JobArgs::Crawl(args) => crawl::run(worker, job, args).await,
        JobArgs::TrainEpoch(args) => train_epoch::run(worker, job.submission, args).await,
    }
}
