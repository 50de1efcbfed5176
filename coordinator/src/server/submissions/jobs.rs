//! The jobs of a submission as the API shows them.

use common::{
    ids::SubmissionId,
    store::{JobStatus, Mishap},
};

use super::manifest::layout;
use crate::{
    api::{JobStage, JobView, MishapView, Page, PauseView},
    server::{context::Context, error::RequestError, lookup},
};

/// Jobs on one page.
const PAGE: u32 = 1000;

/// Returns a page of a submission's jobs, in order; the cursor counts jobs. Of a run, those in flight.
///
/// # Errors
/// When there is no such submission, the cursor is none, or the store does not serve.
pub(crate) async fn jobs(
    context: &Context,
    id: SubmissionId,
    cursor: Option<&str>,
) -> Result<Page<JobView>, RequestError> {
    let submission = lookup::submission(context, id).await?;
    let first: u32 = lookup::cursor(cursor)?.unwrap_or(0);
    let mut marks = context.store.job_marks(id).await?;
    let now_ms = context.store.now_ms().await?;
    let view = |job: String, items: Option<u32>, unmarked, mark: Option<JobStatus>| {
        let mark = mark.as_ref();
        JobView {
            job,
            submission: id,
            kind: submission.kind,
            state: mark.map_or(unmarked, |mark| JobStage::Marked(mark.state.clone())),
            items,
            generation: mark.map_or(0, |mark| mark.generation),
            crashes: mark.map_or(0, |mark| mark.crashes),
            paused: mark.and_then(|mark| mark.paused.clone()).map(PauseView::from),
            worker: mark.and_then(|mark| mark.worker.clone()),
            history: mark.into_iter().flat_map(|mark| mark.history.clone()).map(MishapView::from).collect(),
            touched_seconds_ago: mark.map(|mark| now_ms.saturating_sub(mark.touched_ms) as f64 / 1e3),
        }
    };
    let Some(layout) = layout(&submission) else {
        let mut jobs: Vec<(String, JobStatus)> = marks.into_iter().collect();
        jobs.sort_by(|a, b| a.0.cmp(&b.0));
        let items =
            jobs.into_iter().map(|(name, mark)| view(name, None, JobStage::Queued, Some(mark))).collect();
        return Ok(Page { items, next: None });
    };
    let last = submission.jobs.min(first.saturating_add(PAGE));
    let items = (first..last)
        .map(|job| {
            let unmarked =
                if job < submission.jobs_published { JobStage::Queued } else { JobStage::Unpublished };
            let mark = marks.remove(&job.to_string());
            view(job.to_string(), Some(layout.job_items(job)), unmarked, mark)
        })
        .collect();
    Ok(Page { items, next: (last < submission.jobs).then(|| last.to_string()) })
}

impl From<Mishap> for MishapView {
    fn from(mishap: Mishap) -> Self {
        let Mishap { at_ms, worker, error } = mishap;
        Self { at_ms, worker, error }
    }
}
