//! Takes discarded jobs out of the broker's hand-over queue and into the store.
//!
//! Owns what a discarded job means: a record with its reason, a failure for each of its unresolved items,
//! and the end of its run. Then the message is acknowledged, so the queue is normally empty.

use std::time::Duration;

use common::{
    broker::{Consumer, Delivery},
    envelope::Envelope,
    ids::Digest,
    jobs::{Chunk, JobArgs},
    outcome::{FailureReason, ItemFailure, ItemResult},
    store::{DeadLetter, JobState, State, StoreError},
};

use crate::context::Context;

/// Dead letters taken at once.
pub(crate) const PREFETCH: u16 = 16;
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
    DeadLetter {
        id,
        submission: message.submission().map(str::to_owned),
        message_type: message.message_type().map(str::to_owned),
        reason: note.reason,
        error: note.error,
        attempts: message.attempt().unwrap_or(0),
        worker: note.worker,
        origin: note.origin,
        body: String::from_utf8_lossy(message.body()).into_owned(),
        recorded_ms: 0,
    }
}

async fn record(context: &Context, delivery: &Delivery, letter: &DeadLetter) -> Result<(), StoreError> {
    context.store.put_dead_letter(letter).await?;
    let Ok(job) = &delivery.job else { return Ok(()) };
    match &job.args {
        JobArgs::Embed(args) => fail_items(context, job, &args.chunk, letter).await,
        JobArgs::Predict(args) => fail_items(context, job, &args.chunk, letter).await,
        JobArgs::TrainEpoch(_) => {
            let error = format!("a training job was discarded ({}): {}", letter.reason, letter.error);
            context.store.close_submission(job.submission, State::Failed, Some(&error), true).await.map(drop)
        }
    }
}

async fn fail_items(
    context: &Context,
    job: &Envelope,
    chunk: &Chunk,
    letter: &DeadLetter,
) -> Result<(), StoreError> {
    let reason = if letter.reason == "poison" { FailureReason::Poison } else { FailureReason::Discarded };
    let failure = ItemFailure::new(reason, format!("{} (job {})", letter.error, job.job));
    let items = chunk.first_item..chunk.first_item + u64::from(chunk.items);
    let results: Vec<(u64, ItemResult)> =
        items.map(|index| (index, ItemResult::Failed(failure.clone()))).collect();
    let name = chunk.index.to_string();
    context.store.finish_job(job.submission, &name, job.generation, JobState::Dead, &results).await?;
    Ok(())
}
