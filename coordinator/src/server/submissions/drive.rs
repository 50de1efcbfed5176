//! What the leader does for a submission: prepare, publish and watch it, from wherever it stands to its end.
//!
//! Owns the order of the steps, and what an error of one means. Invariant: whatever is interrupted is taken up
//! again here, from the store alone; every step may be taken twice.

use std::time::Duration;

use common::{
    ids::SubmissionId,
    store::{State, StoreError},
};

use super::{SubmissionError, prepare, publish, sweep};
use crate::server::context::Context;

/// Pause before a submission is tried again when the store or the broker did not serve.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Drives a submission to its end, or until the coordinator stops.
pub(crate) async fn drive(context: &Context, id: SubmissionId) {
    loop {
        let paused = match steps(context, id).await {
            Ok(()) => break,
            Err(SubmissionError::Stopping) => return,
            Err(SubmissionError::Store(error)) => error.to_string(),
            Err(SubmissionError::Failed(error)) => {
                tracing::warn!(submission = %id, %error, "submission failed");
                match context.store.close_submission(id, State::Failed, Some(&error), false).await {
                    Ok(_) => break,
                    Err(StoreError::Replaced) => return,
                    Err(error) => error.to_string(),
                }
            }
        };
        tracing::warn!(submission = %id, error = %paused, "submission waits for the store");
        tokio::select! {
            () = context.stop.cancelled() => return,
            () = tokio::time::sleep(RETRY_PAUSE) => {}
        }
    }
    if let Err(error) = context.store.set_inactive(id).await {
        tracing::warn!(submission = %id, %error, "submission stays on the list of active ones");
    }
}

async fn steps(context: &Context, id: SubmissionId) -> Result<(), SubmissionError> {
    if !context.store.take_over(id).await? {
        return Ok(());
    }
    // Around again where the store was put back to an older state meanwhile.
    loop {
        let Some(submission) = context.store.submission(id).await? else { return Ok(()) };
        match submission.state {
            State::Preparing => prepare::prepare(context, &submission).await?,
            State::Running if submission.jobs_published < submission.jobs => {
                publish::publish(context, &submission).await?;
            }
            State::Running => sweep::watch(context, id).await?,
            _ => return Ok(()),
        }
    }
}
