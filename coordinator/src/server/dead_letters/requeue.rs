//! Requeues a discarded job.
//!
//! Owns what may be requeued: a job whose submission is still kept, under a new generation, so that deliveries of
//! its former generation have no effect. Training jobs are not requeued; their run is resumed.

use std::time::Duration;

use common::{
    ids::SubmissionId,
    job::{envelope::Envelope, kind::Kind},
    store::{DeadLetter, JobState, Requeue, State, Submission},
};

use crate::server::{context::Context, error::RequestError, lookup, submissions::Jobs, training};

/// How long the broker may take to accept a requeued job; after that the rescuer publishes it.
const PUBLISH_LIMIT: Duration = Duration::from_secs(5);

/// Publishes a discarded job again under a new generation. Returns how many items are no longer failed.
pub(super) async fn requeue(context: &Context, letter: &DeadLetter) -> Result<u64, RequestError> {
    let kind = letter.message_type.as_deref().and_then(|text| Envelope::parse_type(text).ok());
    let id: Option<SubmissionId> = letter.submission.as_deref().and_then(|text| text.parse().ok());
    let (Some(kind), Some(id), Some(name)) = (kind, id, letter.job.as_deref()) else {
        return Err(RequestError::Conflict("it is no job of this program: it can only be purged".to_owned()));
    };
    if kind == Kind::TrainEpoch {
        let goes_on = matches!(lookup::run(context, id).await?.state, State::Preparing | State::Running);
        return if goes_on { Ok(0) } else { training::resume(context, id).await.map(|_| 0) };
    }
    let submission = lookup::submission(context, id).await?;
    let unreadable = |error: &dyn std::fmt::Display| RequestError::Conflict(error.to_string());
    let jobs = Jobs::of(context, &submission).map_err(|error| unreadable(&error))?;
    let job: u32 = name.parse().map_err(|_| unreadable(&format!("'{name}' is no job of {id}")))?;
    if job >= submission.jobs {
        return Err(unreadable(&format!("submission {id} has no job {job}")));
    }
    context.store.set_active(id).await?;
    let (generation, restored_items) = match context.store.requeue_job(id, name, jobs.items(job)).await? {
        Requeue::Requeued { generation, restored_items } => {
            // Again, since a leader that looked in between found it ended and took it off.
            context.store.set_active(id).await?;
            (generation, restored_items)
        }
        Requeue::NotDiscarded { generation } => {
            (unfinished_requeue(context, &submission, name, generation).await?, 0)
        }
        Requeue::Orphaned => return Err(unreadable(&format!("submission {id} is gone"))),
        Requeue::Closed => {
            return Err(unreadable(&format!("submission {id} is {}: submit it again", submission.state)));
        }
    };
    if tokio::time::timeout(PUBLISH_LIMIT, jobs.publish(context, job, generation)).await.is_err() {
        tracing::warn!(submission = %id, job, "the requeued job was not taken yet; it is published by the rescuer");
    }
    Ok(restored_items)
}

/// The generation of a job whose requeueing was interrupted; one that lives is not requeued.
async fn unfinished_requeue(
    context: &Context,
    submission: &Submission,
    name: &str,
    generation: u32,
) -> Result<u32, RequestError> {
    let mark = context.store.job_status(submission.id, name).await?;
    match mark {
        Some(mark) if mark.state == JobState::Requeued => Ok(generation),
        mark => Err(RequestError::Conflict(format!(
            "the job is not dead: it is {}",
            mark.map_or_else(|| "queued".to_owned(), |mark| mark.state.to_string())
        ))),
    }
}
