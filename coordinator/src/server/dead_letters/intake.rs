//! Consumes the broker's dead-letter queue and records its jobs in the store.
//!
//! Owns the effects of a discard: a dead letter with its reason, a failure of each unresolved item, and, for a training
//! job, the failure of its run. Jobs that RabbitMQ dropped because of a policy are not discards: they are published again,
//! and only `doctor` reports them. The message is acknowledged after that, so the queue is normally empty.

use std::time::Duration;

use common::{
    broker::{Consumer, Delivery},
    digest::Digest,
    job::{
        args::{Chunk, JobArgs},
        discard::DiscardReason,
        envelope::Envelope,
        outcome::{FailureReason, ItemFailure, ItemResult},
    },
    store::{DeadLetter, DroppedJob, JobEnd, JobRef, JobStatus, State, StoreError, Submission},
};

use crate::server::{context::Context, submissions::Jobs};

pub(crate) const PREFETCH: u16 = 16;
/// Delay before recording a dead letter is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// Consumes the dead-letter queue until the coordinator stops.
pub(crate) async fn consume(context: &Context, mut dead_letters: Consumer) {
    while let Some(delivery) = dead_letters.next().await {
        let letter = read_letter(&delivery);
        if letter.reason != DiscardReason::Policy {
            tracing::warn!(id = %letter.id, reason = %letter.reason, error = %letter.error, "job discarded");
        }
        while let Err(error) = record(context, &delivery, &letter).await {
            if !error.is_retryable() {
                // The job's stored state is unreadable, which must not block the letters behind this one.
                tracing::error!(
                    id = %letter.id, %error, "cannot read the job's state: recording its dead letter only"
                );
                if context.store.record_dead_letter(&letter).await.is_ok() {
                    break;
                }
            }
            tracing::warn!(%error, "cannot record the dead letter; retrying in {RETRY_DELAY:?}");
            tokio::select! {
                () = context.stop.cancelled() => return,
                () = tokio::time::sleep(RETRY_DELAY) => {}
            }
        }
        if let Err(error) = delivery.ack().await {
            tracing::debug!(%error, "the dead letter was not acknowledged; its redelivery has no effect");
        }
    }
    dead_letters.closed().await;
}

/// Reads a dead letter from its message and headers. A message without ID gets the digest of its body as ID.
fn read_letter(delivery: &Delivery) -> DeadLetter {
    let (message, info) = (&delivery.message, delivery.message.dead_letter_info());
    let id = message.id().map_or_else(|| Digest::of(message.body()).prefix(32), str::to_owned);
    let job = delivery.job.as_ref().ok();
    DeadLetter {
        id,
        submission: message.submission().map(str::to_owned),
        job: job.map(|job| job.args.name()),
        message_type: message.message_type().map(str::to_owned),
        reason: info.reason,
        error: info.error,
        attempts: message.attempt().unwrap_or(0),
        generation: job.map_or(0, |job| job.generation),
        history: Vec::new(),
        worker: info.worker,
        origin: info.origin,
        body: String::from_utf8_lossy(message.body()).into_owned(),
        recorded_ms: 0,
    }
}

async fn record(context: &Context, delivery: &Delivery, letter: &DeadLetter) -> Result<(), StoreError> {
    if let Some(policy) = delivery.message.dropped_by() {
        context.store.record_policy(policy, letter.origin.as_deref().unwrap_or("unknown")).await?;
        if let Ok(job) = &delivery.job
            && publish_dropped(context, job, letter).await?
        {
            return Ok(());
        }
    }
    let Ok(job) = &delivery.job else { return context.store.record_dead_letter(letter).await };
    let status = context.store.job_status(job.submission, &job.args.name()).await?;
    let generation = status.as_ref().map_or(0, |status| status.generation);
    if generation != job.generation || status.as_ref().is_some_and(JobStatus::is_finished) {
        // A redelivered copy of a job that has finished or was requeued since.
        tracing::info!(job = %job.job, "ignoring the dead letter of a job that has finished or was requeued");
        return Ok(());
    }
    if let JobArgs::TrainEpoch(args) = &job.args
        && context.store.parameters(job.submission).await?.is_none_or(|now| now.version != args.version)
    {
        tracing::info!(job = %job.job, "ignoring the dead letter of a job of an earlier training step");
        return Ok(());
    }
    let suspect = status.as_ref().is_some_and(|status| status.exclusive_crashes > 0);
    if letter.reason == DiscardReason::DeliveryLimit && !suspect && publish_again(context, job).await? {
        return Ok(());
    }
    let history = status.map_or_else(Vec::new, |status| status.history);
    let letter = DeadLetter { history, ..letter.clone() };
    context.store.record_dead_letter(&letter).await?;
    match job.args.chunk() {
        Some(chunk) => fail_items(context, job, chunk, &letter).await,
        None => {
            let error = format!(
                "a training job was discarded ({}): {}; `subwatch resume {}` continues from the last \
                 checkpoint",
                letter.reason, letter.error, job.submission
            );
            context.store.close_submission(job.submission, State::Failed, Some(&error), true).await.map(drop)
        }
    }
}

/// Publishes a job again that reached the broker's delivery limit but never crashed a worker that ran it
/// exclusively, so it may be innocent. Training jobs are left to their pass, which republishes them. Returns
/// whether the discard is handled: false if the submission does not have this job.
async fn publish_again(context: &Context, job: &Envelope) -> Result<bool, StoreError> {
    let Some(chunk) = job.args.chunk() else { return Ok(true) };
    let Some(submission) = context.store.submission(job.submission).await? else { return Ok(true) };
    let Some(jobs) = jobs_with(context, &submission, chunk) else { return Ok(false) };
    tracing::warn!(
        job = %job.job,
        "the job reached RabbitMQ's delivery limit but has not crashed a worker in an exclusive run; publishing it again"
    );
    let published = jobs.publish(context, chunk.index, job.generation).await;
    published.map(|()| true).map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// Publishes a job again that RabbitMQ dropped because of a policy, after a delay that grows with every drop. Its deadline,
/// if it has one, is for workers and the rescuer to enforce. Returns whether the drop is handled: false if the submission
/// does not have this job.
async fn publish_dropped(context: &Context, job: &Envelope, letter: &DeadLetter) -> Result<bool, StoreError> {
    // A pass publishes its training jobs again when no answer arrives.
    let Some(chunk) = job.args.chunk() else { return Ok(true) };
    let Some(submission) = context.store.submission(job.submission).await? else { return Ok(true) };
    let Some(jobs) = jobs_with(context, &submission, chunk) else { return Ok(false) };
    let name = job.args.name();
    let dropped = JobRef { submission: job.submission, name: &name, generation: job.generation };
    match context.store.delay_dropped_job(dropped).await? {
        DroppedJob::PublishAgain(tier) => {
            tracing::warn!(job = %job.job, error = %letter.error, "publishing the job again in {tier}");
            // If this fails, the rescuer publishes it.
            let published = jobs.publish_delayed(context, chunk.index, job, tier).await;
            published.map(|()| true).map_err(|error| StoreError::Unavailable(error.to_string()))
        }
        DroppedJob::Ignored(reason) => {
            tracing::debug!(job = %job.job, reason, "the dropped job is not published again");
            Ok(true)
        }
    }
}

/// Returns the jobs of a submission; `None` if `chunk` is not one of them.
fn jobs_with<'a>(context: &Context, submission: &'a Submission, chunk: &Chunk) -> Option<Jobs<'a>> {
    Jobs::of(context, submission).ok().filter(|_| chunk.index < submission.jobs)
}

async fn fail_items(
    context: &Context,
    job: &Envelope,
    chunk: &Chunk,
    letter: &DeadLetter,
) -> Result<(), StoreError> {
    let reason = match letter.reason {
        DiscardReason::Poison => FailureReason::Poison,
        DiscardReason::Expired => FailureReason::Expired,
        _ => FailureReason::Discarded,
    };
    let failure = ItemFailure::new(reason, format!("{} (job {})", letter.error, job.job));
    let Some(submission) = context.store.submission(job.submission).await? else { return Ok(()) };
    // The message is not trusted for the job's items: they are computed from the submission.
    let Some(jobs) = jobs_with(context, &submission, chunk) else { return Ok(()) };
    let results: Vec<(u64, ItemResult)> =
        jobs.items(chunk.index).map(|index| (index, ItemResult::Failed(failure.clone()))).collect();
    let name = chunk.index.to_string();
    let job = JobRef { submission: job.submission, name: &name, generation: job.generation };
    context.store.finish_job(job, JobEnd::Discarded, &results).await?;
    Ok(())
}
