//! Watches an open submission until its end: rescues lost jobs and discards expired ones.
//!
//! Owns the decision that a job is lost: unfinished and without a heartbeat for a while. The rescuer repairs a lost
//! publish, an emptied broker, and a store restored from an older state. A job published twice has no extra effect,
//! since outcomes are applied once.

use std::time::{Duration, Instant};

use common::{
    broker::DeadLetterInfo,
    ids::SubmissionId,
    job::{discard::DiscardReason, outcome::EXPIRED},
    store::{JobState, JobStatus, State, Submission},
};

use tokio::sync::watch;

use super::{SubmissionError, crawled_rows, publish::Jobs};
use crate::server::context::Context;

/// Interval at which the record is read if no notification arrives.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// Time after the deadline in which workers discard expired jobs, before the rescuer does.
const EXPIRY_GRACE: Duration = Duration::from_secs(3);
/// While the queue has jobs, a job is lost only after this multiple of `rescue_after_seconds`: it may be in the queue.
const QUEUED_FACTOR: u32 = 20;

/// Waits for the end of a submission, or of the last job of one that the leader ends, and rescues lost jobs. Its jobs may be
/// published meanwhile; `published` is their number. `listing` tells whether more are being listed. Also returns if the
/// state has gone backwards because the store was restored from an older state.
pub(super) async fn watch(
    context: &Context,
    id: SubmissionId,
    mut published: watch::Receiver<u32>,
    listing: watch::Receiver<bool>,
) -> Result<(), SubmissionError> {
    let waiter = context.notifier.waiter(id);
    let after = context.settings.jobs.rescue_after();
    let mut last_rescue = Instant::now();
    let mut last_copies: Option<Instant> = None;
    let mut progress = ((0, 0), Instant::now());
    let mut last_expiry: Option<Instant> = None;
    let mut rows = crawled_rows::Schedule::default();
    loop {
        let (published_before, is_listing) = (*published.borrow(), *listing.borrow());
        let Some(submission) = context.store.submission(id).await? else { return Ok(()) };
        if submission.state.is_terminal() {
            let (state, succeeded, failed) = (submission.state, submission.succeeded, submission.failed);
            tracing::info!(submission = %id, %state, succeeded, failed, "submission ended");
            return Ok(());
        }
        let is_older = submission.jobs_published < published_before || (submission.is_listing && !is_listing);
        if submission.state != State::Running || is_older {
            tracing::warn!(submission = %id, "store restored from an older state; continuing from there");
            return Ok(());
        }
        if submission.awaits_leader() {
            return Ok(());
        }
        rows.write_if_due(context, &submission).await?;
        let (jobs, done) = (submission.jobs, (submission.jobs_published, submission.jobs_finished));
        if done != progress.0 {
            progress = (done, Instant::now());
        }
        if let Some(deadline_ms) = submission.deadline_ms
            && last_expiry.is_none_or(|at| at.elapsed() >= after)
            && context.store.now_ms().await? > deadline_ms + EXPIRY_GRACE.as_millis() as u64
        {
            expire(context, &submission).await?;
            last_expiry = Some(Instant::now());
        }
        if last_rescue.elapsed() >= after && progress.1.elapsed() >= after {
            rescue(context, &submission, after, &mut last_copies).await?;
            last_rescue = Instant::now();
        }
        let all_published = async {
            // An error means that no more are published.
            let _ = published.wait_for(|published| *published >= jobs).await;
        };
        tokio::select! {
            () = context.stop.cancelled() => return Err(SubmissionError::Stopping),
            // The delay coalesces notifications that arrive in quick succession.
            () = waiter.wait(POLL_INTERVAL) => tokio::time::sleep(POLL_INTERVAL / 20).await,
            // A crawl whose jobs have finished ends when all of them are known to be published.
            () = all_published, if done.0 < jobs => {}
        }
    }
}

/// Publishes the lost jobs of a submission again. `last_copies` is when this was last done to a queue that had jobs.
async fn rescue(
    context: &Context,
    submission: &Submission,
    after: Duration,
    last_copies: &mut Option<Instant>,
) -> Result<(), SubmissionError> {
    let jobs = Jobs::of(context, submission)?;
    let statuses = context.store.job_statuses(submission.id).await?;
    let now_ms = context.store.now_ms().await?;
    let last_heartbeat_ms = statuses.values().map(|status| status.heartbeat_ms).max().unwrap_or(0);
    let Some(load) = context.publisher.queue_load(&jobs.route().queue_name()).await else {
        // The broker is unavailable, so publishing would fail too.
        return Ok(());
    };
    let has_copies = last_copies.is_some_and(|at| at.elapsed() < after * QUEUED_FACTOR);
    if load.ready > 0 && (load.consumers == 0 || has_copies) {
        // The jobs may be in the queue, and further copies would fill it.
        return Ok(());
    }
    let mut lost = Vec::new();
    for job in 0..submission.jobs_published {
        let status = statuses.get(&job.to_string());
        let times = Times { created_ms: submission.created_ms, last_heartbeat_ms, now_ms };
        if is_lost(status, times, load.ready, after) {
            lost.push((job, status.map_or(0, |status| status.generation)));
        }
    }
    if !lost.is_empty() {
        tracing::warn!(submission = %submission.id, jobs = lost.len(), "publishing lost jobs again");
    }
    if !lost.is_empty() && load.ready > 0 {
        *last_copies = Some(Instant::now());
    }
    for (job, generation) in lost {
        jobs.publish(context, job, generation).await?;
    }
    Ok(())
}

/// Discards the unfinished jobs of a submission whose deadline has passed, whether queued or lost. Jobs in flight are
/// left to their workers, and requeued jobs have no deadline.
async fn expire(context: &Context, submission: &Submission) -> Result<(), SubmissionError> {
    let jobs = Jobs::of(context, submission)?;
    let statuses = context.store.job_statuses(submission.id).await?;
    let info = DeadLetterInfo {
        reason: DiscardReason::Expired,
        error: EXPIRED.to_owned(),
        worker: None,
        origin: Some(jobs.route().queue_name()),
    };
    let mut discarded = 0_u32;
    for job in 0..submission.jobs {
        let is_waiting = |status: &JobStatus| {
            !status.is_finished() && status.state != JobState::Started && status.generation == 0
        };
        if statuses.get(&job.to_string()).is_none_or(is_waiting) && jobs.discard(context, job, 0, &info).await
        {
            discarded += 1;
        }
    }
    if discarded > 0 {
        tracing::warn!(
            submission = %submission.id,
            jobs = discarded,
            "the deadline has passed; unfinished jobs were discarded"
        );
    }
    Ok(())
}

/// Times that decide whether a job is lost, by the clock of Redis.
#[derive(Clone, Copy)]
struct Times {
    /// Creation of the submission.
    created_ms: u64,
    /// Latest heartbeat of any job of the submission.
    last_heartbeat_ms: u64,
    now_ms: u64,
}

/// Returns whether a job is lost. While its queue has jobs, it may be one of them: then it gets more time, counted from
/// the last heartbeat of any job of the submission, since a crawl may take days.
fn is_lost(status: Option<&JobStatus>, times: Times, queued: u32, after: Duration) -> bool {
    let Times { created_ms, last_heartbeat_ms, now_ms } = times;
    let active_ms = match status {
        Some(status) if status.is_finished() => return false,
        // A retryable or snoozed job is redelivered at a known time.
        Some(status) => {
            let snoozed_ms = status.snoozed.as_ref().map_or(0, |snooze| snooze.until_ms);
            status.heartbeat_ms.max(status.not_before_ms).max(snoozed_ms)
        }
        None => created_ms,
    };
    let (active_ms, limit) = match queued {
        0 => (active_ms, after),
        _ => (active_ms.max(last_heartbeat_ms), after * QUEUED_FACTOR),
    };
    now_ms.saturating_sub(active_ms) >= limit.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use common::store::Snooze;

    use super::*;

    #[test]
    fn unfinished_jobs_without_a_heartbeat_are_lost() {
        let status = |state, heartbeat_ms| Some(JobStatus { heartbeat_ms, ..JobStatus::new(state) });
        let check = |status: Option<JobStatus>, now_ms, queued, want| {
            let times = Times { created_ms: 0, last_heartbeat_ms: 0, now_ms };
            assert_eq!(is_lost(status.as_ref(), times, queued, Duration::from_secs(30)), want, "{status:?}");
        };
        check(None, 29_999, 0, false);
        check(None, 30_000, 0, true);
        check(None, 30_000, 5, false);
        check(None, 600_000, 5, true);
        let progressing = Times { created_ms: 0, last_heartbeat_ms: 599_000, now_ms: 600_000 };
        assert!(!is_lost(None, progressing, 5, Duration::from_secs(30)), "it may still be in the queue");
        assert!(is_lost(None, progressing, 0, Duration::from_secs(30)), "the queue is empty");
        check(status(JobState::Started, 20_000), 30_000, 0, false);
        check(status(JobState::Started, 20_000), 50_000, 0, true);
        let retryable =
            JobStatus { heartbeat_ms: 20_000, not_before_ms: 140_000, ..JobStatus::new(JobState::Retryable) };
        check(Some(retryable.clone()), 169_999, 0, false);
        check(Some(retryable), 170_000, 0, true);
        let snoozed = |until_ms| {
            let snooze = Snooze { until_ms, reason: "quota".to_owned() };
            status(JobState::Snoozed, 0).map(|status| JobStatus { snoozed: Some(snooze), ..status })
        };
        check(snoozed(600_000), 629_999, 0, false);
        check(snoozed(600_000), 630_000, 0, true);
        check(status(JobState::Done, 0), 9_000_000, 0, false);
        check(status(JobState::Discarded, 0), 9_000_000, 0, false);
    }
}
