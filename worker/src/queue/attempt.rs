//! One attempt at a job, with its heartbeat and time limit.
//!
//! The started mark is set before (see `dispatch`), and the outcome is applied afterwards (see `disposition`). A job
//! that exceeds its time limit may be stuck in foreign code and cannot be cancelled, so the worker process ends and
//! leaves the mark.

use std::{panic::AssertUnwindSafe, time::Duration};

use common::{
    job::{
        discard::DiscardReason,
        envelope::Envelope,
        outcome::{CLOSED, EXPIRED},
    },
    store::Heartbeat,
};
use futures::FutureExt;

use super::job_record::{JobRecord, STORE_RETRY_DELAY};
use crate::{
    attempt::Attempt,
    jobs,
    outcome::{JobError, Outcome},
    panic_text::panic_text,
    worker::Worker,
};

/// Interval of a job's heartbeats.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(2);

/// Runs a job. Dropping the future cancels the job, except for work on other threads.
pub(super) async fn run(worker: &Worker, job: &Envelope, attempt: Attempt) -> Outcome {
    loop {
        let ended = tokio::select! {
            ended = AssertUnwindSafe(jobs::run(worker, job, attempt)).catch_unwind() => ended,
            outcome = send_heartbeats(JobRecord::new(worker, job)) => return outcome,
            () = tokio::time::sleep(worker.job_timeout) => return Outcome::TimedOut,
        };
        match ended {
            Ok(Ok(outcome)) => return outcome,
            Ok(Err(JobError::Permanent(error))) => return Outcome::discard(DiscardReason::Failed, error),
            Ok(Err(JobError::Retryable(error))) => return Outcome::retry(error),
            Ok(Err(JobError::Store(error))) => {
                tracing::warn!(job = %job.job, %error, "Redis is unavailable; running the job again shortly");
                tokio::time::sleep(STORE_RETRY_DELAY).await;
            }
            // A panic is a bug in this program, but the other jobs can continue.
            Err(panic) => return Outcome::retry(format!("the worker panicked: {}", panic_text(&*panic))),
        }
    }
}

/// Sends heartbeats until the job's result is no longer wanted, and returns the outcome for that.
async fn send_heartbeats(job: JobRecord<'_>) -> Outcome {
    loop {
        tokio::time::sleep(HEARTBEAT_INTERVAL).await;
        match job.heartbeat().await {
            Ok(Heartbeat::Open) => {}
            Ok(Heartbeat::Closed) => return Outcome::Ignored(CLOSED),
            Ok(Heartbeat::Expired) => return Outcome::discard(DiscardReason::Expired, EXPIRED),
            Err(error) => tracing::debug!(%job, %error, "cannot record the job's heartbeat"),
        }
    }
}
