//! Puts a submission's jobs into the queue.
//!
//! Owns the order and the cursor: the first `jobs_published` jobs are known to be in the broker, the
//! others are published again after a restart, under the same ids.

use std::{ops::Range, time::Duration};

use common::{
    broker::DeadNote,
    ids::JobId,
    job::{
        args::{Chunk, CrawlArgs, EmbedArgs, JobArgs, PredictArgs},
        crawl::CrawlPlan,
        envelope::Envelope,
        kind::Kind,
    },
    store::{Submission, SubmissionKind},
    topology::Route,
};
use futures::{StreamExt, stream};

use super::{
    SubmissionError,
    crawl::CrawlSpec,
    manifest::{Layout, layout},
    spec::{PredictSpec, read_spec},
};
use crate::server::context::Context;

/// Jobs published between two writes of the cursor.
const CURSOR_EVERY: u32 = 256;
/// Publishes under way at once.
const WINDOW: usize = 128;
/// Pause after a job was not taken; doubles up to the limit.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_AT_MOST: Duration = Duration::from_secs(10);
/// A submission of at most this many uploaded images, or predictions, overtakes the batches: somebody waits.
const INTERACTIVE_ITEMS: u64 = 16;

/// Publishes every job that is not published yet.
///
/// # Errors
/// When the store does not serve, or the coordinator stops.
pub(super) async fn publish(context: &Context, submission: &Submission) -> Result<(), SubmissionError> {
    let jobs = Jobs::of(context, submission)?;
    let mut first = submission.jobs_published;
    while first < submission.jobs {
        let end = (first + CURSOR_EVERY).min(submission.jobs);
        let mut published =
            stream::iter(first..end).map(|job| jobs.publish(context, job, 0)).buffer_unordered(WINDOW);
        while let Some(result) = published.next().await {
            result?;
        }
        context.store.set_published(submission.id, end).await?;
        if context.store.state(submission.id).await?.is_none_or(common::store::State::is_terminal) {
            return Ok(());
        }
        first = end;
    }
    Ok(())
}

/// How a submission's jobs are made.
pub(crate) struct Jobs<'a> {
    submission: &'a Submission,
    layout: Layout,
    route: Route,
    what: What,
    max_attempts: u32,
}

/// What is done with the items of a job.
enum What {
    Embed,
    Predict(PredictSpec),
    Crawl(CrawlPlan),
}

impl<'a> Jobs<'a> {
    pub(crate) fn of(context: &Context, submission: &'a Submission) -> Result<Self, SubmissionError> {
        let lost = || SubmissionError::Failed("its manifest is unreadable".to_owned());
        let layout = layout(submission).ok_or_else(lost)?;
        let is_small = layout.items <= INTERACTIVE_ITEMS;
        let (kind, route, what) = match submission.kind {
            SubmissionKind::Predict => {
                let route = if is_small { Route::Interactive } else { Route::Predict };
                (Kind::Predict, route, What::Predict(read_spec(submission)?))
            }
            SubmissionKind::Crawl => {
                let CrawlSpec { plan, .. } = read_spec(submission)?;
                (Kind::Crawl, Route::Crawl, What::Crawl(plan))
            }
            // A run has no manifest: its passes make its jobs.
            SubmissionKind::Train => return Err(lost()),
            SubmissionKind::Embed => {
                let is_uploaded = layout.dataset.is_none();
                let route = if is_uploaded && is_small { Route::Interactive } else { Route::Embed };
                (Kind::Embed, route, What::Embed)
            }
        };
        Ok(Self { submission, layout, route, what, max_attempts: context.settings.jobs.max_attempts(kind) })
    }

    /// The items of a job, by submission-wide index.
    pub(crate) fn items(&self, job: u32) -> Range<u64> {
        let first = self.layout.first_item(job);
        first..first + u64::from(self.layout.job_items(job))
    }

    /// The route of all of them.
    pub(super) fn route(&self) -> &Route {
        &self.route
    }

    /// Publishes one job at a generation, trying again until the broker takes it.
    pub(crate) async fn publish(
        &self,
        context: &Context,
        job: u32,
        generation: u32,
    ) -> Result<(), SubmissionError> {
        let envelope = self.envelope(job, generation);
        let mut pause = PAUSE;
        loop {
            let error = match context.publisher.publish(&envelope, &self.route).await {
                Ok(()) => return Ok(()),
                Err(error) if !error.is_retryable() => {
                    return Err(SubmissionError::Failed(error.to_string()));
                }
                Err(error) => error,
            };
            tracing::warn!(submission = %self.submission.id, job, %error, "job was not taken, trying again in {pause:?}");
            tokio::select! {
                () = context.stop.cancelled() => return Err(SubmissionError::Stopping),
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSE_AT_MOST),
            }
        }
    }

    /// Hands an unfinished job over to the dead letters.
    pub(super) async fn discard(
        &self,
        context: &Context,
        job: u32,
        generation: u32,
        note: &DeadNote,
    ) -> bool {
        let discarded = context.publisher.discard(&self.envelope(job, generation), note).await;
        if let Err(error) = &discarded {
            tracing::warn!(submission = %self.submission.id, job, %error, "the dead letter was not taken");
        }
        discarded.is_ok()
    }

    fn envelope(&self, job: u32, generation: u32) -> Envelope {
        let chunk = Chunk {
            part: self.layout.part(job),
            dataset: self.layout.dataset.clone(),
            index: job,
            first_item: self.layout.first_item(job),
            items: self.layout.job_items(job),
        };
        let args = match &self.what {
            What::Embed => JobArgs::Embed(EmbedArgs { chunk }),
            What::Predict(spec) => JobArgs::Predict(PredictArgs { chunk, run: spec.run }),
            What::Crawl(plan) => JobArgs::Crawl(CrawlArgs { chunk, plan: Box::new(plan.clone()) }),
        };
        Envelope {
            job: JobId::derive(self.submission.id, args.kind(), &args.name()),
            submission: self.submission.id,
            attempt: 1,
            max_attempts: self.max_attempts,
            generation,
            // Whoever requeues a job wants it done, however late.
            deadline_ms: self.submission.deadline_ms.filter(|_| generation == 0),
            traceparent: self.submission.traceparent.clone(),
            args,
        }
    }
}
