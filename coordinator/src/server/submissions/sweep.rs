//! Watches a published submission until its end, publishes again what was lost, and discards what expired.
//!
//! Owns the judgement that a job is lost: neither finished nor touched for a while. It heals a lost
//! publish, a wiped broker and a store restored from an older state; since outcomes are applied once, a
//! job published twice is harmless.

use std::time::{Duration, Instant};

use common::{
    broker::DeadNote,
    ids::SubmissionId,
    job::{discard::DiscardReason, outcome::EXPIRED},
    store::{JobStatus, MarkState, State, Submission},
};

use super::{SubmissionError, publish::Jobs};
use crate::server::context::Context;

/// How often a watcher reads the record though no doorbell rang.
const TIMER: Duration = Duration::from_secs(2);
/// How long after the deadline workers may discard the expired jobs they meet, before it is done for them.
const EXPIRY_GRACE: Duration = Duration::from_secs(3);
/// A job untouched for this many times the sweep interval is lost even if its queue is not empty.
const PATIENCE: u32 = 20;

/// Waits for the end of a submission, sweeping now and then. Also returns when not all of its jobs are
/// published any more: the store was put back to an older state.
///
/// # Errors
/// When the store does not serve, or the coordinator stops.
pub(super) async fn watch(context: &Context, id: SubmissionId) -> Result<(), SubmissionError> {
    let doorbell = context.doorbells.of(id);
    let after = context.settings.jobs.sweep_after();
    let mut swept = Instant::now();
    let mut progress = (0, Instant::now());
    let mut expired: Option<Instant> = None;
    loop {
        let Some(submission) = context.store.submission(id).await? else { return Ok(()) };
        if submission.state.is_terminal() {
            let (state, succeeded, failed) = (submission.state, submission.succeeded, submission.failed);
            tracing::info!(submission = %id, ?state, succeeded, failed, "submission ended");
            return Ok(());
        }
        if submission.state != State::Running || submission.jobs_published < submission.jobs {
            tracing::warn!(submission = %id, "the store was put back to an older state, going on from there");
            return Ok(());
        }
        if submission.jobs_finished != progress.0 {
            progress = (submission.jobs_finished, Instant::now());
        }
        if let Some(deadline_ms) = submission.deadline_ms
            && expired.is_none_or(|at| at.elapsed() >= after)
            && context.store.now_ms().await? > deadline_ms + EXPIRY_GRACE.as_millis() as u64
        {
            expire(context, &submission).await?;
            expired = Some(Instant::now());
        }
        if swept.elapsed() >= after && progress.1.elapsed() >= after {
            sweep(context, &submission, after).await?;
            swept = Instant::now();
        }
        tokio::select! {
            () = context.stop.cancelled() => return Err(SubmissionError::Stopping),
            () = doorbell.wait(TIMER) => tokio::time::sleep(TIMER / 20).await,
        }
    }
}

async fn sweep(context: &Context, submission: &Submission, after: Duration) -> Result<(), SubmissionError> {
    let jobs = Jobs::of(context, submission)?;
    let marks = context.store.job_marks(submission.id).await?;
    let now_ms = context.store.now_ms().await?;
    let moved_ms = marks.values().map(|mark| mark.touched_ms).max().unwrap_or(0);
    let Some(waiting) = context.publisher.queue_depth(&jobs.route().queue_name()).await else {
        // Nothing is known of the queue, and nothing can be published into it.
        return Ok(());
    };
    let mut lost = Vec::new();
    for job in 0..submission.jobs_published {
        let mark = marks.get(&job.to_string());
        let since = Since { created_ms: submission.created_ms, moved_ms, now_ms };
        if is_lost(mark, since, waiting, after) {
            lost.push((job, mark.map_or(0, |mark| mark.generation)));
        }
    }
    if !lost.is_empty() {
        tracing::warn!(submission = %submission.id, jobs = lost.len(), "publishing jobs again that nobody works on");
    }
    for (job, generation) in lost {
        jobs.publish(context, job, generation).await?;
    }
    Ok(())
}

/// Discards the unfinished jobs of a submission whose deadline has passed, those in the queue as well as
/// those that no worker would ever meet. One that a worker holds is discarded by that worker.
async fn expire(context: &Context, submission: &Submission) -> Result<(), SubmissionError> {
    let jobs = Jobs::of(context, submission)?;
    let marks = context.store.job_marks(submission.id).await?;
    let note = DeadNote {
        reason: DiscardReason::Expired,
        error: EXPIRED.to_owned(),
        worker: None,
        origin: Some(jobs.route().queue_name()),
    };
    let mut discarded = 0_u32;
    for job in 0..submission.jobs {
        let open = |mark: &JobStatus| {
            !mark.is_finished() && mark.state != MarkState::Started && mark.generation == 0
        };
        if marks.get(&job.to_string()).is_none_or(open) && jobs.discard(context, job, 0, &note).await {
            discarded += 1;
        }
    }
    tracing::warn!(submission = %submission.id, jobs = discarded, "the deadline has passed, discarding what is left");
    Ok(())
}

/// The moments that a job's silence is measured by, in Redis's time.
#[derive(Clone, Copy)]
struct Since {
    /// When its submission was made.
    created_ms: u64,
    /// When a job of its submission was touched last.
    moved_ms: u64,
    now_ms: u64,
}

/// Whether a job is lost. While jobs wait in its queue it may be one of them, so it gets more time, and all of it
/// anew for as long as others come to their turn: a crawl may take days.
fn is_lost(mark: Option<&JobStatus>, since: Since, waiting: u32, after: Duration) -> bool {
    let Since { created_ms, moved_ms, now_ms } = since;
    let touched_ms = match mark {
        Some(mark) if mark.is_finished() => return false,
        // One that rests comes back by itself.
        Some(mark) => {
            let paused_ms = mark.paused.as_ref().map_or(0, |pause| pause.until_ms);
            mark.touched_ms.max(mark.not_before_ms).max(paused_ms)
        }
        None => created_ms,
    };
    let (touched_ms, patience) =
        if waiting == 0 { (touched_ms, after) } else { (touched_ms.max(moved_ms), after * PATIENCE) };
    now_ms.saturating_sub(touched_ms) >= patience.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use common::store::Pause;

    use super::*;

    #[test]
    fn only_untouched_unfinished_jobs_are_lost() {
        let mark = |state, touched_ms| Some(JobStatus { touched_ms, ..JobStatus::new(state) });
        let check = |mark: Option<JobStatus>, now_ms, waiting, want| {
            let since = Since { created_ms: 0, moved_ms: 0, now_ms };
            assert_eq!(is_lost(mark.as_ref(), since, waiting, Duration::from_secs(30)), want, "{mark:?}");
        };
        check(None, 29_999, 0, false);
        check(None, 30_000, 0, true);
        check(None, 30_000, 5, false);
        check(None, 600_000, 5, true);
        let moving = Since { created_ms: 0, moved_ms: 599_000, now_ms: 600_000 };
        assert!(!is_lost(None, moving, 5, Duration::from_secs(30)), "others come to their turn");
        assert!(is_lost(None, moving, 0, Duration::from_secs(30)), "it would have come to its turn");
        check(mark(MarkState::Started, 20_000), 30_000, 0, false);
        check(mark(MarkState::Started, 20_000), 50_000, 0, true);
        let resting =
            JobStatus { touched_ms: 20_000, not_before_ms: 140_000, ..JobStatus::new(MarkState::Released) };
        check(Some(resting.clone()), 169_999, 0, false);
        check(Some(resting), 170_000, 0, true);
        let paused = |until_ms| {
            let pause = Pause { until_ms, reason: "quota".to_owned() };
            mark(MarkState::Paused, 0).map(|mark| JobStatus { paused: Some(pause), ..mark })
        };
        check(paused(600_000), 629_999, 0, false);
        check(paused(600_000), 630_000, 0, true);
        check(mark(MarkState::Done, 0), 9_000_000, 0, false);
        check(mark(MarkState::Dead, 0), 9_000_000, 0, false);
    }
}
