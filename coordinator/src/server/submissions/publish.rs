//! Publishes a submission's jobs.
//!
//! Owns the publishing cursor: the broker has confirmed the first `jobs_published` jobs. After a restart the others are
//! published again, with the same IDs. When a job is published is up to [`crate::server::feeding`].

use std::{ops::Range, time::Duration};

use common::{
    broker::{DeadLetterInfo, PublishError},
    ids::JobId,
    job::{
        args::{Chunk, CrawlArgs, EmbedArgs, JobArgs, PredictArgs},
        crawl::CrawlPlan,
        envelope::Envelope,
        kind::Kind,
    },
    store::{Submission, SubmissionKind},
    topology::{DelayTier, Route},
};
use dataset::files::parts::PartError;
use futures::{StreamExt, stream};
use tokio::sync::watch;

use super::{
    SubmissionError,
    crawl::CrawlSpec,
    manifest::{Parts, layout},
    spec::{PredictSpec, read_spec},
};
use crate::server::context::Context;

/// Jobs between two writes of the cursor.
const CURSOR_EVERY: u32 = 256;
/// Maximum number of unconfirmed publishes.
const WINDOW: usize = 128;
/// Delay before a failed publish is retried; doubles up to the maximum.
const RETRY_DELAY: Duration = Duration::from_millis(200);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(10);
/// Maximum size of a submission that goes to the interactive queue, ahead of large ones, because a user waits for it.
const INTERACTIVE_ITEMS: u64 = 16;

/// Publishes the jobs that are not published yet, in turns with other submissions, and moves `cursor`. While the dataset is
/// being listed, `listed` is notified of more of them.
pub(super) async fn publish(
    context: &Context,
    submission: &Submission,
    cursor: &watch::Sender<u32>,
    mut listed: watch::Receiver<bool>,
) -> Result<(), SubmissionError> {
    publish_listed(context, submission, cursor).await?;
    let mut is_listing = submission.is_listing;
    while is_listing && listed.changed().await.is_ok() {
        let Some(submission) = context.store.submission(submission.id).await? else { return Ok(()) };
        publish_listed(context, &submission, cursor).await?;
        is_listing = submission.is_listing;
    }
    Ok(())
}

/// Publishes the jobs that are recorded.
async fn publish_listed(
    context: &Context,
    submission: &Submission,
    cursor: &watch::Sender<u32>,
) -> Result<(), SubmissionError> {
    let (mut first, last) = (submission.jobs_published, submission.jobs);
    if first >= last {
        return Ok(());
    }
    let jobs = Jobs::of(context, submission)?;
    // No worker may have declared the queue of its space yet. If it fails, publishing tries again.
    context.publisher.declare_queue_of(&jobs.route).await;
    let is_fed = !matches!(jobs.route, Route::Interactive(_));
    let mut turn = is_fed.then(|| context.feeder.join(&jobs.route, last - first, jobs.cost()));
    while first < last {
        let granted = match &mut turn {
            Some(turn) => first + turn.next().await,
            None => last,
        };
        while first < granted {
            let end = (first + CURSOR_EVERY).min(granted);
            let mut published =
                stream::iter(first..end).map(|job| jobs.publish(context, job, 0)).buffer_unordered(WINDOW);
            while let Some(result) = published.next().await {
                result?;
                if let Some(turn) = &turn {
                    turn.confirmed();
                }
            }
            context.store.set_published(submission.id, end).await?;
            cursor.send_replace(end);
            first = end;
        }
    }
    Ok(())
}

/// The jobs of a submission: makes and publishes any of them.
pub(crate) struct Jobs<'a> {
    submission: &'a Submission,
    parts: Parts,
    route: Route,
    template: JobTemplate,
    max_attempts: u32,
}

/// Why a job was not published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unpublished {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("cannot read the submission's manifest: {0}")]
    Manifest(#[from] PartError),
}

impl Unpublished {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Publish(error) => error.is_retryable(),
            Self::Manifest(error) => error.is_retryable(),
        }
    }
}

/// The arguments that all jobs of a submission share.
enum JobTemplate {
    Embed,
    Predict(PredictSpec),
    Crawl(CrawlPlan),
}

impl<'a> Jobs<'a> {
    pub(crate) fn of(context: &Context, submission: &'a Submission) -> Result<Self, SubmissionError> {
        let unreadable = || SubmissionError::Failed("cannot read the submission's manifest".to_owned());
        let layout = layout(submission).ok_or_else(unreadable)?;
        let is_small = layout.items <= INTERACTIVE_ITEMS;
        let (kind, route, template) = match submission.kind {
            SubmissionKind::Predict => {
                let route = if is_small { Route::Interactive } else { Route::Predict };
                let route = route(layout.space.clone());
                (Kind::Predict, route, JobTemplate::Predict(read_spec(submission)?))
            }
            SubmissionKind::Crawl => {
                let CrawlSpec { plan, .. } = read_spec(submission)?;
                (Kind::Crawl, Route::Crawl, JobTemplate::Crawl(plan))
            }
            // A run has no manifest: its passes make its jobs.
            SubmissionKind::Train => return Err(unreadable()),
            SubmissionKind::Embed => {
                let is_uploaded = layout.dataset.is_none();
                let route = if is_uploaded && is_small { Route::Interactive } else { Route::Embed };
                let route = route(layout.space.clone());
                (Kind::Embed, route, JobTemplate::Embed)
            }
        };
        let max_attempts = context.settings.jobs.max_attempts(kind);
        Ok(Self { submission, parts: Parts::new(layout), route, template, max_attempts })
    }

    /// Returns the submission-wide indices of a job's items.
    pub(crate) fn items(&self, job: u32) -> Range<u64> {
        let layout = self.parts.layout();
        let first = layout.first_item(job);
        first..first + u64::from(layout.job_items(job))
    }

    /// Returns how many items a job counts for in its turns. A crawl job has one item, a channel with many videos.
    fn cost(&self) -> u32 {
        match &self.template {
            JobTemplate::Embed | JobTemplate::Predict(_) => self.parts.layout().part_items,
            JobTemplate::Crawl(plan) => plan.videos_per_channel,
        }
    }

    pub(super) fn route(&self) -> &Route {
        &self.route
    }

    /// Publishes one job at a generation, with retries until the broker confirms it.
    pub(crate) async fn publish(
        &self,
        context: &Context,
        job: u32,
        generation: u32,
    ) -> Result<(), SubmissionError> {
        let mut delay = RETRY_DELAY;
        loop {
            let published = match self.envelope(job, generation).await {
                Ok(envelope) => {
                    context.publisher.publish(&envelope, &self.route).await.map_err(Unpublished::from)
                }
                Err(error) => Err(error.into()),
            };
            let error = match published {
                Ok(()) => return Ok(()),
                Err(error) if !error.is_retryable() => {
                    return Err(SubmissionError::Failed(error.to_string()));
                }
                Err(error) => error,
            };
            tracing::warn!(
                submission = %self.submission.id, job, %error, "job was not published; retrying in {delay:?}"
            );
            tokio::select! {
                () = context.stop.cancelled() => return Err(SubmissionError::Stopping),
                () = tokio::time::sleep(delay) => delay = (delay * 2).min(MAX_RETRY_DELAY),
            }
        }
    }

    /// Publishes a job again after a delay, at the attempt that `envelope` names, with one try.
    pub(crate) async fn publish_delayed(
        &self,
        context: &Context,
        job: u32,
        envelope: &Envelope,
        tier: DelayTier,
    ) -> Result<(), Unpublished> {
        let Envelope { attempt, generation, .. } = *envelope;
        let envelope = Envelope { attempt, ..self.envelope(job, generation).await? };
        Ok(context.publisher.delay(&envelope, tier, &self.route.routing_key()).await?)
    }

    /// Publishes an unfinished job to the dead-letter queue. Returns whether the broker confirmed it.
    pub(super) async fn discard(
        &self,
        context: &Context,
        job: u32,
        generation: u32,
        info: &DeadLetterInfo,
    ) -> bool {
        let discarded = match self.envelope(job, generation).await {
            Ok(envelope) => context.publisher.discard(&envelope, info).await.map_err(Unpublished::from),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = &discarded {
            tracing::warn!(submission = %self.submission.id, job, %error, "dead letter not published");
        }
        discarded.is_ok()
    }

    async fn envelope(&self, job: u32, generation: u32) -> Result<Envelope, PartError> {
        let layout = self.parts.layout();
        let (part, range) = self.parts.find(job).await?;
        let chunk = Chunk {
            part,
            range,
            dataset: layout.dataset.clone(),
            index: job,
            first_item: layout.first_item(job),
            items: layout.job_items(job),
        };
        let space = layout.space.clone();
        let args = match &self.template {
            JobTemplate::Embed => JobArgs::Embed(EmbedArgs { chunk, space }),
            JobTemplate::Predict(spec) => {
                let output = self.parts.layout().output.clone().map(Box::new);
                JobArgs::Predict(PredictArgs { chunk, run: spec.run, space, output })
            }
            JobTemplate::Crawl(plan) => JobArgs::Crawl(CrawlArgs { chunk, plan: Box::new(plan.clone()) }),
        };
        Ok(Envelope {
            job: JobId::derive(self.submission.id, args.kind(), &args.name()),
            submission: self.submission.id,
            attempt: 1,
            max_attempts: self.max_attempts,
            generation,
            // A job that an operator requeued has no deadline.
            deadline_ms: self.submission.deadline_ms.filter(|_| generation == 0),
            traceparent: self.submission.traceparent.clone(),
            args,
        })
    }
}
