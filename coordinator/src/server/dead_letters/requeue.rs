//! Requeues a discarded job.
//!
//! A job can be requeued while its submission is stored. It gets a new generation, so that deliveries of the old one
//! have no effect. For a training job, its run is resumed instead.

use std::time::Duration;

use common::{
    ids::SubmissionId,
    job::{envelope::Envelope, kind::Kind},
    store::{DeadLetter, JobState, Requeue, State, Submission},
};

use crate::server::{context::Context, error::RequestError, lookup, submissions::Jobs, training};

/// How long the publisher confirm of a requeued job may take; after that, the rescuer publishes the job.
const PUBLISH_LIMIT: Duration = Duration::from_secs(5);

/// Publishes a discarded job under a new generation. Returns the number of items that went from failed to pending.
pub(super) async fn requeue(context: &Context, letter: &DeadLetter) -> Result<u64, RequestError> {
    let kind = letter.message_type.as_deref().and_then(|text| Envelope::parse_type(text).ok());
    let id: Option<SubmissionId> = letter.submission.as_deref().and_then(|text| text.parse().ok());
    let (Some(kind), Some(id), Some(name)) = (kind, id, letter.job.as_deref()) else {
        return Err(RequestError::Conflict(
            "the message is not a subwatch job: it can only be purged".to_owned(),
        ));
    };
    if kind == Kind::TrainEpoch {
        return match lookup::run(context, id).await?.state {
            State::Preparing | State::Running => Ok(0),
            State::Cancelled => Err(RequestError::Conflict(format!(
                "run {id} was cancelled: continue it with `subwatch resume {id}`"
            ))),
            _ => training::resume(context, id).await.map(|_| 0),
        };
    }
    let submission = lookup::submission(context, id).await?;
    let conflict = |detail: &dyn std::fmt::Display| RequestError::Conflict(detail.to_string());
    let jobs = Jobs::of(context, &submission).map_err(|error| conflict(&error))?;
    let unknown = || conflict(&format!("submission {id} has no job '{name}'"));
    let job: u32 = name.parse().map_err(|_| unknown())?;
    if job >= submission.jobs {
        return Err(unknown());
    }
    context.store.set_active(id).await?;
    let (generation, restored_items) = match context.store.requeue_job(id, name, jobs.items(job)).await? {
        Requeue::Requeued { generation, restored_items } => {
            // Again: a leader may have seen the ended submission in between and set it inactive.
            context.store.set_active(id).await?;
            (generation, restored_items)
        }
        Requeue::NotDiscarded { generation } => {
            (unfinished_requeue(context, &submission, name, generation).await?, 0)
        }
        Requeue::Orphaned => return Err(conflict(&format!("submission {id} has expired"))),
        Requeue::Closed => {
            return Err(conflict(&format!(
                "the state of submission {id} is {}: submit it again",
                submission.state
            )));
        }
    };
    if tokio::time::timeout(PUBLISH_LIMIT, jobs.publish(context, job, generation)).await.is_err() {
        tracing::warn!(
            submission = %id,
            job,
            "no publisher confirm for the requeued job within {PUBLISH_LIMIT:?}; the rescuer will publish it"
        );
    }
    Ok(restored_items)
}

/// Returns the generation of a job whose requeueing was interrupted before it was published.
///
/// # Errors
/// `Conflict` if the job is not discarded.
async fn unfinished_requeue(
    context: &Context,
    submission: &Submission,
    name: &str,
    generation: u32,
) -> Result<u32, RequestError> {
    let status = context.store.job_status(submission.id, name).await?;
    match status {
        Some(status) if status.state == JobState::Requeued => Ok(generation),
        status => Err(RequestError::Conflict(format!(
            "only a discarded job can be requeued: the state of job {name} of submission {} is {}",
            submission.id,
            status.map_or_else(|| "queued".to_owned(), |status| status.state.to_string())
        ))),
    }
}
