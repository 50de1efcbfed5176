//! One attempt at a job: the work, beside its heartbeat and under its time limit.
//!
//! Owns how the work ends. Does not own the started mark, which precedes it, or the effects of the outcome.
//! A job over its time limit may be stuck where nothing can stop it, so it ends the worker, and its mark stays.

use std::{any::Any, panic::AssertUnwindSafe, time::Duration};

use common::{
    job::{
        discard::DiscardReason,
        envelope::Envelope,
        outcome::{CLOSED, EXPIRED},
    },
    store::Touch,
};
use futures::FutureExt;

use super::job_record::{JobRecord, STORE_PAUSE};
use crate::{
    jobs,
    outcome::{JobError, Outcome},
    worker::Worker,
};

/// How often a job in progress is touched.
const TOUCH_EVERY: Duration = Duration::from_secs(2);

/// Works on a job to its end. `repeated` says that it may have been worked on before. Dropping the future gives
/// the job up, except for what runs on other threads.
pub(super) async fn run(worker: &Worker, job: &Envelope, repeated: bool) -> Outcome {
    loop {
        let ended = tokio::select! {
            ended = AssertUnwindSafe(jobs::run(worker, job, repeated)).catch_unwind() => ended,
            outcome = keep_touching(JobRecord::new(worker, job)) => return outcome,
            () = tokio::time::sleep(worker.job_limit) => return Outcome::OverTime,
        };
        match ended {
            Ok(Ok(outcome)) => return outcome,
            Ok(Err(JobError::Permanent(error))) => return Outcome::discard(DiscardReason::Failed, error),
            Ok(Err(JobError::Retryable(error))) => return Outcome::retry(error),
            Ok(Err(JobError::Store(error))) => {
                tracing::warn!(job = %job.job, %error, "the job waits for the store");
                tokio::time::sleep(STORE_PAUSE).await;
            }
            Err(panic) => return Outcome::retry(panic_text(&*panic)),
        }
    }
}

/// Touches a job for as long as its result is wanted; what it resolved after that would have no effect.
async fn keep_touching(job: JobRecord<'_>) -> Outcome {
    loop {
        tokio::time::sleep(TOUCH_EVERY).await;
        match job.touch().await {
            Ok(Touch::Held) => {}
            Ok(Touch::Closed) => return Outcome::WithoutEffect(CLOSED),
            Ok(Touch::Expired) => return Outcome::discard(DiscardReason::Expired, EXPIRED),
            Err(error) => tracing::debug!(%job, %error, "a heartbeat of the job was lost"),
        }
    }
}

/// Returns the text of a panic. It is a fault of this program, and no reason to end the other jobs.
fn panic_text(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    format!("the worker panicked: {}", said.unwrap_or("no text"))
}
