//! Takes discarded jobs out of the broker's hand-over queue and into the store.
//!
//! Owns what a discarded job means: a record with its reason, a failure for each of its unresolved items,
//! and the end of its run. Then the message is acknowledged, so the queue is normally empty.

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
    store::{DeadLetter, JobEnd, JobRef, JobStatus, State, StoreError, Submission},
};

use crate::server::{context::Context, submissions::Jobs};

/// Dead letters taken at once.
pub(crate) const PREFETCH: u16 = 16;
/// Snooze before a dead letter that could not be recorded is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// Consumes the hand-over queue until the coordinator stops.
pub(crate) async fn consume(context: &Context, mut dead_letters: Consumer) {
    while let Some(delivery) = dead_letters.next().await {
        let letter = read_letter(&delivery);
        tracing::warn!(id = %letter.id, reason = %letter.reason, error = %letter.error, "job discarded");
        while let Err(error) = record(context, &delivery, &letter).await {
            if !error.is_retryable() {
                // What the store holds of the job is no use, and must not hold up the letters behind it.
                tracing::error!(id = %letter.id, %error, "the dead letter is recorded alone");
                if context.store.put_dead_letter(&letter).await.is_ok() {
                    break;
                }
            }
            tracing::warn!(%error, "the dead letter waits for the store");
            tokio::select! {
                () = context.stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        if let Err(error) = delivery.ack().await {
            tracing::debug!(%error, "the dead letter comes again, which changes nothing");
        }
    }
    dead_letters.closed().await;
}

/// Reads who discarded what, and why. What has no id is recorded under the digest of its bytes.
fn read_letter(delivery: &Delivery) -> DeadLetter {
    let (message, note) = (&delivery.message, delivery.message.dead_letter_info());
    let id = message.id().map_or_else(|| Digest::of(message.body()).prefix(32), str::to_owned);
    let job = delivery.job.as_ref().ok();
    DeadLetter {
        id,
        submission: message.submission().map(str::to_owned),
        job: job.map(|job| job.args.name()),
        message_type: message.message_type().map(str::to_owned),
        reason: note.reason,
        error: note.error,
        attempts: message.attempt().unwrap_or(0),
        generation: job.map_or(0, |job| job.generation),
        history: Vec::new(),
        worker: note.worker,
        origin: note.origin,
        body: String::from_utf8_lossy(message.body()).into_owned(),
        recorded_ms: 0,
    }
}

async fn record(context: &Context, delivery: &Delivery, letter: &DeadLetter) -> Result<(), StoreError> {
    let Ok(job) = &delivery.job else { return context.store.put_dead_letter(letter).await };
    let mark = context.store.job_status(job.submission, &job.args.name()).await?;
    let generation = mark.as_ref().map_or(0, |mark| mark.generation);
    if generation != job.generation || mark.as_ref().is_some_and(JobStatus::is_finished) {
        // A copy of a job that has ended, or was requeued since: its death changes nothing.
        tracing::info!(job = %job.job, "the discarded job had an end already");
        return Ok(());
    }
    if let JobArgs::TrainEpoch(args) = &job.args
        && context.store.parameters(job.submission).await?.is_none_or(|now| now.version != args.version)
    {
        tracing::info!(job = %job.job, "the discarded job's step is over");
        return Ok(());
    }
    let killed_nobody = mark.as_ref().is_none_or(|mark| mark.exclusive_crashes == 0);
    if letter.reason == DiscardReason::DeliveryLimit && killed_nobody && publish_again(context, job).await? {
        return Ok(());
    }
    let letter = DeadLetter { history: mark.map_or_else(Vec::new, |mark| mark.history), ..letter.clone() };
    context.store.put_dead_letter(&letter).await?;
    match job.args.chunk() {
        Some(chunk) => fail_items(context, job, chunk, &letter).await,
        None => {
            let error = format!(
                "a training job was discarded ({}): {}; `subwatch resume {}` goes on from the last checkpoint",
                letter.reason, letter.error, job.submission
            );
            context.store.close_submission(job.submission, State::Failed, Some(&error), true).await.map(drop)
        }
    }
}

/// Gives a job another chance that the broker discarded by its own count: workers judge a job by crashes
/// while alone, and this one had none. The pass of a training job publishes it again by itself. Returns whether
/// there is such a job.
async fn publish_again(context: &Context, job: &Envelope) -> Result<bool, StoreError> {
    let Some(chunk) = job.args.chunk() else { return Ok(true) };
    let Some(submission) = context.store.submission(job.submission).await? else { return Ok(true) };
    let Some(jobs) = jobs_with(context, &submission, chunk) else { return Ok(false) };
    tracing::warn!(job = %job.job, "the broker discarded a job that killed nobody, publishing it again");
    let published = jobs.publish(context, chunk.index, job.generation).await;
    published.map(|()| true).map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// The jobs of a submission, if the one that a message names is among them.
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
    // The message may say anything; which items a job has is known here.
    let Some(jobs) = jobs_with(context, &submission, chunk) else { return Ok(()) };
    let results: Vec<(u64, ItemResult)> =
        jobs.items(chunk.index).map(|index| (index, ItemResult::Failed(failure.clone()))).collect();
    let name = chunk.index.to_string();
    let dead = JobRef { submission: job.submission, name: &name, generation: job.generation };
    context.store.finish_job(dead, JobEnd::Discarded, &results).await?;
    Ok(())
}
