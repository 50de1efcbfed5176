//! Shows the jobs of a submission.

use common::{
    ids::SubmissionId,
    store::{AttemptError, JobStatus, State},
};

use super::manifest::layout;
use crate::{
    api::{AttemptErrorView, JobStage, JobView, Page, SnoozeView},
    server::{context::Context, error::RequestError, lookup, pages::PageSize},
};

/// Most jobs per page.
const PAGE: u32 = 1000;

/// Returns a page of a submission's jobs, in order; the cursor is the number of the first job. For a run, returns the
/// jobs of the current pass that workers have received.
pub(crate) async fn jobs(
    context: &Context,
    id: SubmissionId,
    cursor: Option<&str>,
) -> Result<Page<JobView>, RequestError> {
    let submission = lookup::submission(context, id).await?;
    let first: u32 = lookup::cursor(cursor)?.unwrap_or(0);
    let mut statuses = context.store.job_statuses(id).await?;
    let now_ms = context.store.now_ms().await?;
    let view = |job: String, items: Option<u32>, default: JobStage, status: Option<JobStatus>| {
        let status = status.as_ref();
        let is_cancelled =
            submission.state == State::Cancelled && status.is_none_or(|status| !status.is_finished());
        JobView {
            job,
            submission: id,
            kind: submission.kind,
            state: match status {
                _ if is_cancelled => JobStage::Cancelled,
                Some(status) => JobStage::Received(status.state.clone()),
                None => default,
            },
            items,
            generation: status.map_or(0, |status| status.generation),
            crashes: status.map_or(0, |status| status.crashes),
            snoozed: status.and_then(|status| status.snoozed.clone()).map(SnoozeView::from),
            worker: status.and_then(|status| status.worker.clone()),
            attempt_errors: status
                .into_iter()
                .flat_map(|status| status.history.clone())
                .map(AttemptErrorView::from)
                .collect(),
            heartbeat_seconds_ago: status
                .map(|status| now_ms.saturating_sub(status.heartbeat_ms) as f64 / 1e3),
        }
    };
    let (mut items, mut size) = (Vec::new(), PageSize::default());
    let Some(layout) = layout(&submission) else {
        let mut jobs: Vec<(String, JobStatus)> = statuses.into_iter().collect();
        jobs.sort_by(|a, b| a.0.cmp(&b.0));
        let total = jobs.len();
        for (name, status) in jobs.into_iter().skip(first as usize).take(PAGE as usize) {
            if size.is_full() {
                break;
            }
            let job = view(name, None, JobStage::Queued, Some(status));
            size.add(&job);
            items.push(job);
        }
        let next = first as usize + items.len();
        return Ok(Page { items, next: (next < total).then(|| next.to_string()) });
    };
    let last = submission.jobs.min(first.saturating_add(PAGE));
    let mut next = first;
    while next < last && !size.is_full() {
        let default = if next < submission.jobs_published { JobStage::Queued } else { JobStage::Unpublished };
        let status = statuses.remove(&next.to_string());
        let job = view(next.to_string(), Some(layout.job_items(next)), default, status);
        size.add(&job);
        items.push(job);
        next += 1;
    }
    Ok(Page { items, next: (next < submission.jobs).then(|| next.to_string()) })
}

impl From<AttemptError> for AttemptErrorView {
    fn from(attempt: AttemptError) -> Self {
        let AttemptError { at_ms, worker, error } = attempt;
        Self { at_ms, worker, error }
    }
}
