//! The crawl job: brings one channel, or one slice of a list, into a dataset.
//!
//! Owns how the job becomes a [`Crawl`], and what the outcome of that is for the job. Does not own the crawl.

use common::{
    job::{args::CrawlArgs, envelope::Envelope, outcome::ItemResult},
    store::JobRef,
};
use crawler::{Crawl, CrawlError};

use crate::{
    outcome::{JobError, Outcome},
    worker::Worker,
};

/// Crawls the one item of the job.
///
/// # Errors
/// When the manifest cannot be read, the site or the storage does not serve, or the job has to rest.
pub(super) async fn run(worker: &Worker, job: &Envelope, args: &CrawlArgs) -> Result<Outcome, JobError> {
    let crawl = Crawl {
        store: &worker.store,
        web: &worker.web,
        decoder: &worker.decoder,
        job_timeout: worker.job_timeout,
        job: JobRef { submission: job.submission, name: &job.args.name(), generation: job.generation },
        args,
        is_last: job.attempt >= job.max_attempts,
    };
    let result = match crawl.run().await {
        Ok(crawled) => ItemResult::Crawled(crawled),
        Err(CrawlError::Item(failure)) => ItemResult::Failed(failure),
        Err(CrawlError::Rest(pause)) => return Ok(Outcome::Snooze(pause)),
        Err(CrawlError::Storage(error) | CrawlError::Retryable(error)) => {
            return Err(JobError::Retryable(error));
        }
        Err(CrawlError::Permanent(error)) => return Err(JobError::Permanent(error)),
        Err(CrawlError::Store(error)) => return Err(JobError::Store(error)),
    };
    Ok(Outcome::Items(vec![(args.chunk.first_item, result)]))
}
