//! The job kinds of a worker, one file each, and `shard`, the file that a predict job writes. Deliveries, marks and
//! retries are in [`crate::queue`].

mod crawl;
#[cfg(all(feature = "model", not(feature = "bench-noop")))]
mod embed;
#[cfg(feature = "bench-noop")]
mod noop;
#[cfg(feature = "model")]
mod predict;
#[cfg(feature = "model")]
mod shard;
mod train_epoch;

use common::job::{args::JobArgs, envelope::Envelope};

use crate::{
    attempt::Attempt,
    outcome::{JobError, Outcome},
    worker::Worker,
};

/// Runs a job.
///
/// # Errors
/// If the job as a whole fails. The failure of an item is part of the outcome, not an error.
pub async fn run(worker: &Worker, job: &Envelope, attempt: Attempt) -> Result<Outcome, JobError> {
    match &job.args {
        #[cfg(feature = "bench-noop")]
        JobArgs::Embed(args) => Ok(noop::run(args)),
        #[cfg(all(feature = "model", not(feature = "bench-noop")))]
        JobArgs::Embed(args) => embed::run(worker, job, args, attempt).await,
        #[cfg(feature = "model")]
        JobArgs::Predict(args) => predict::run(worker, job, args, attempt).await,
        #[cfg(not(feature = "model"))]
        JobArgs::Embed(_) | JobArgs::Predict(_) => {
            let _ = attempt;
            Err(JobError::Retryable("this worker is built without the model".to_owned()))
        }
        JobArgs::Crawl(args) => crawl::run(worker, job, args).await,
        JobArgs::TrainEpoch(args) => train_epoch::run(worker, job.submission, args).await,
    }
}
