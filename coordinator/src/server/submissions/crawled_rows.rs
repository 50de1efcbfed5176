//! Puts the rows of a crawl into its dataset's `metadata.jsonl`.
//!
//! Workers write the rows of each channel or list to a hidden part. The leader merges the parts ([`dataset::metadata`])
//! when the crawl ends, also if it was cancelled, and every [`INTERVAL`] before. Invariant: a crawl has ended only once its
//! rows are written; after a crash they are merged again, with the same result.

use std::time::{Duration, Instant};

use common::{
    job::outcome::ItemResult,
    store::{Submission, SubmissionKind},
};
use dataset::{
    files::Files,
    metadata::{MergeError, merge},
};

use super::{SubmissionError, crawl::CrawlSpec, spec::read_spec};
use crate::server::context::Context;

/// Interval at which the rows of a running crawl are written.
const INTERVAL: Duration = Duration::from_secs(600);
/// Results read together.
const PAGE: u64 = 1024;
/// Attempts while the storage fails, and the delay between them.
const ATTEMPTS: u32 = 30;
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// When the rows of a running crawl are written next.
pub(super) struct Schedule {
    last: Instant,
    succeeded: u64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { last: Instant::now(), succeeded: 0 }
    }
}

impl Schedule {
    /// Writes the rows of the items that have succeeded so far, if it is time and there are new ones.
    pub(super) async fn write_if_due(
        &mut self,
        context: &Context,
        submission: &Submission,
    ) -> Result<(), SubmissionError> {
        if !self.is_due(submission.kind, submission.succeeded, self.last.elapsed()) {
            return Ok(());
        }
        (self.last, self.succeeded) = (Instant::now(), submission.succeeded);
        keep(context, submission).await
    }

    /// Only crawls have rows; the request of another submission names no dataset to write to.
    fn is_due(&self, kind: SubmissionKind, succeeded: u64, elapsed: Duration) -> bool {
        kind == SubmissionKind::Crawl && elapsed >= INTERVAL && succeeded != self.succeeded
    }
}

/// Writes the rows of a crawl whose jobs are finished, and closes it.
pub(super) async fn finish(context: &Context, submission: &Submission) -> Result<(), SubmissionError> {
    for attempt in 1.. {
        let error = match write(context, submission).await? {
            Ok(()) => break,
            Err(error) => error,
        };
        if !error.is_retryable() || attempt == ATTEMPTS {
            return Err(SubmissionError::Failed(format!(
                "the crawl is complete, but its rows cannot be written to metadata.jsonl: {error}; crawl again after \
                 fixing this, which downloads no thumbnail twice"
            )));
        }
        tracing::warn!(submission = %submission.id, %error, "the rows of a crawl are written in {RETRY_DELAY:?}");
        tokio::select! {
            () = context.stop.cancelled() => return Err(SubmissionError::Stopping),
            () = tokio::time::sleep(RETRY_DELAY) => {}
        }
    }
    Ok(context.store.end_submission(submission.id).await?)
}

/// Writes the rows that a crawl has so far. An error is only logged: the crawl has ended, or it writes them again.
pub(super) async fn keep(context: &Context, submission: &Submission) -> Result<(), SubmissionError> {
    if let Err(error) = write(context, submission).await? {
        tracing::warn!(submission = %submission.id, %error, "the rows of a crawl cannot be written");
    }
    Ok(())
}

async fn write(
    context: &Context,
    submission: &Submission,
) -> Result<Result<(), MergeError>, SubmissionError> {
    let spec: CrawlSpec = read_spec(submission)?;
    let files = Files::open(&spec.out).map_err(|error| SubmissionError::Failed(error.to_string()))?;
    let mut parts = Vec::new();
    for first in (0..submission.items).step_by(PAGE as usize) {
        let count = PAGE.min(submission.items - first);
        let results = context.store.results(submission.id, first, count).await?;
        parts.extend(results.into_iter().flatten().filter_map(|result| match result {
            ItemResult::Crawled(crawled) => Some(part_name(&crawled.part)),
            _ => None,
        }));
    }
    let merged = tokio::select! {
        () = context.stop.cancelled() => return Err(SubmissionError::Stopping),
        merged = merge(&files, &parts) => merged,
    };
    let merged = match merged {
        Ok(merged) => merged,
        Err(error) => return Ok(Err(error)),
    };
    tracing::info!(
        submission = %submission.id,
        parts = parts.len(),
        rows = merged.rows,
        replaced = merged.replaced,
        left_out = merged.left_out,
        "rows written to metadata.jsonl"
    );
    Ok(Ok(()))
}

/// Returns the name of a part; workers of an earlier version reported its file.
fn part_name(part: &str) -> String {
    let part = part.strip_prefix("metadata/").unwrap_or(part);
    part.strip_suffix(".jsonl").unwrap_or(part).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_crawls_with_new_items_are_written() {
        let schedule = Schedule { succeeded: 3, ..Schedule::default() };
        assert!(schedule.is_due(SubmissionKind::Crawl, 4, INTERVAL));
        assert!(!schedule.is_due(SubmissionKind::Crawl, 3, INTERVAL));
        assert!(!schedule.is_due(SubmissionKind::Crawl, 4, INTERVAL / 2));
        assert!(!schedule.is_due(SubmissionKind::Embed, 4, INTERVAL));
        assert!(!schedule.is_due(SubmissionKind::Predict, 4, INTERVAL));
    }
}
