//! The crawl job: crawls one channel, or one slice of a list, into a dataset. The crawl itself is in [`crawler`].

use common::{
    job::{args::CrawlArgs, envelope::Envelope, outcome::ItemResult},
    store::JobRef,
};
use crawler::{Crawl, CrawlError};

use crate::{
    outcome::{JobError, Outcome},
    worker::Worker,
};

/// Crawls the single item of the job.
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
        Err(CrawlError::Snooze(snooze)) => return Ok(Outcome::Snooze(snooze)),
        Err(CrawlError::Storage(error) | CrawlError::Retryable(error)) => {
            return Err(JobError::Retryable(error));
        }
        Err(CrawlError::Permanent(error)) => return Err(JobError::Permanent(error)),
        Err(CrawlError::Store(error)) => return Err(JobError::Store(error)),
    };
    Ok(Outcome::Items(vec![(args.chunk.first_item, result)]))
}
