//! Takes discarded jobs out of the broker's hand-over queue and into the store.
//!
//! Owns what a discarded job means: a record with its reason, a failure for each of its unresolved items,
//! and the end of its run. Then the message is acknowledged, so the queue is normally empty.

use std::time::Duration;

use common::{
    broker::{Consumer, Delivery},
    envelope::Envelope,
    ids::Digest,
    jobs::Chunk,
    outcome::{FailureReason, ItemFailure, ItemResult},
    store::{DeadLetter, JobRef, JobState, State, StoreError},
};

use crate::{context::Context, submissions::Jobs};

/// Dead letters taken at once.
pub(crate) const PREFETCH: u16 = 16;
/// The broker's word for a job that was delivered too often.
const DELIVERY_LIMIT: &str = "delivery_limit";
/// Pause before a dead letter that could not be recorded is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// Consumes the hand-over queue until the coordinator stops.
pub(crate) async fn consume(context: &Context, mut dead_letters: Consumer) {
    while let Some(delivery) = dead_letters.next().await {
        let letter = read_letter(&delivery);
        tracing::warn!(id = %letter.id, reason = %letter.reason, error = %letter.error, "job discarded");
        while let Err(error) = record(context, &delivery, &letter).await {
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
    let (message, note) = (&delivery.message, delivery.message.dead_note());
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
    let mark = context.store.job_mark(job.submission, &job.args.name()).await?;
    if let Some(mark) = &mark
        && (mark.generation > job.generation || mark.is_finished())
    {
        // A copy of a job that has ended, or was requeued since: its death changes nothing.
        tracing::info!(job = %job.job, state = %mark.state, "the discarded job had an end already");
        return Ok(());
    }
    if letter.reason == DELIVERY_LIMIT && mark.as_ref().is_none_or(|mark| mark.alone_crashes == 0) {
        return publish_again(context, job).await;
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
/// while alone, and this one had none. The pass of a training job publishes it again by itself.
async fn publish_again(context: &Context, job: &Envelope) -> Result<(), StoreError> {
    let Some(chunk) = job.args.chunk() else { return Ok(()) };
    let Some(submission) = context.store.submission(job.submission).await? else { return Ok(()) };
    tracing::warn!(job = %job.job, "the broker discarded a job that killed nobody, publishing it again");
    let published = match Jobs::of(context, &submission) {
        Ok(jobs) => jobs.publish(context, chunk.index, job.generation).await,
        Err(error) => Err(error),
    };
    published.map_err(|error| StoreError::Unavailable(error.to_string()))
}

async fn fail_items(
    context: &Context,
    job: &Envelope,
    chunk: &Chunk,
    letter: &DeadLetter,
) -> Result<(), StoreError> {
    let reason = match letter.reason.as_str() {
        "poison" => FailureReason::Poison,
        "expired" => FailureReason::Expired,
        _ => FailureReason::Discarded,
    };
    let failure = ItemFailure::new(reason, format!("{} (job {})", letter.error, job.job));
    let items = chunk.first_item..chunk.first_item + u64::from(chunk.items);
    let results: Vec<(u64, ItemResult)> =
        items.map(|index| (index, ItemResult::Failed(failure.clone()))).collect();
    let name = chunk.index.to_string();
    let dead = JobRef { submission: job.submission, name: &name, generation: job.generation };
    context.store.finish_job(dead, JobState::Dead, &results).await?;
    Ok(())
}
