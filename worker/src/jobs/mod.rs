//! The job kinds this worker carries out, one file each.
//!
//! Owns the `match` from a kind to its code. Does not own deliveries, marks or retries (see [`crate::queue`]).

mod crawl;
#[cfg(feature = "model")]
mod embed;
#[cfg(feature = "model")]
mod predict;
mod train_epoch;

use common::job::{args::JobArgs, envelope::Envelope};

use crate::{
    outcome::{JobError, Outcome},
    worker::Worker,
};

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
