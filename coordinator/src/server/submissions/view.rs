//! Shows submissions: one, or a page.

use common::{
    ids::SubmissionId,
    store::{Snooze, State, Submission, SubmissionKind},
};

use super::{
    manifest::layout,
    spec::{PredictSpec, subject},
};
use crate::{
    api::{Page, SnoozeView, SubmissionView},
    server::{context::Context, error::RequestError, lookup, pages::PageSize},
};

pub(crate) async fn get(context: &Context, id: SubmissionId) -> Result<SubmissionView, RequestError> {
    let submission = lookup::submission(context, id).await?;
    Ok(view(&submission, context.store.now_ms().await?))
}

/// Records read at a time: one with many images has megabytes.
const RECORDS: usize = 8;

/// Lists embed, predict and crawl submissions, newest first.
pub(crate) async fn list(
    context: &Context,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<SubmissionView>, RequestError> {
    let now_ms = context.store.now_ms().await?;
    let mut before = lookup::cursor(cursor)?;
    let (mut items, mut size) = (Vec::<SubmissionView>::new(), PageSize::default());
    loop {
        let page = context.store.submissions(before, RECORDS.min(limit + 1)).await?;
        let Some(last) = page.last() else { return Ok(Page { items, next: None }) };
        before = Some(last.id);
        for submission in page.iter().filter(|submission| submission.kind != SubmissionKind::Train) {
            if items.len() == limit || size.is_full() {
                let next = items.last().map(|last| last.submission.to_string());
                return Ok(Page { items, next });
            }
            let view = view(submission, now_ms);
            size.add(&view);
            items.push(view);
        }
    }
}

pub(crate) fn view(submission: &Submission, now_ms: u64) -> SubmissionView {
    let end = submission.finished_ms.unwrap_or(now_ms);
    let elapsed_seconds = end.saturating_sub(submission.created_ms) as f64 / 1e3;
    let layout = layout(submission);
    let without_row = layout.as_ref().filter(|layout| layout.labelled).map_or(0, |layout| layout.without_row);
    let resolved = (submission.succeeded + submission.failed) as f64;
    SubmissionView {
        submission: submission.id,
        kind: submission.kind,
        state: submission.state,
        subject: subject(&submission.spec),
        created_ms: submission.created_ms,
        submitted_by: submission.submitted_by.clone(),
        items: submission.items,
        succeeded: submission.succeeded,
        failed: submission.failed,
        cached: submission.cached,
        thumbnails: (submission.kind == SubmissionKind::Crawl).then_some(submission.thumbnails),
        snoozed: submission
            .snoozed
            .clone()
            .filter(|snooze| is_snoozed(submission.state, snooze, now_ms))
            .map(SnoozeView::from),
        elapsed_seconds,
        items_per_second: if elapsed_seconds > 0.0 { resolved / elapsed_seconds } else { 0.0 },
        without_row: (without_row > 0).then_some(without_row),
        skipped_files: layout.map(|layout| layout.skipped_files).unwrap_or_default(),
        error: submission.error.clone().filter(|_| submission.state == State::Failed),
        run: predict_run(submission).or(submission.parent),
        run_chosen: predict_spec(submission).and_then(|spec| spec.chosen),
    }
}

/// Returns the run whose head a predict submission uses.
pub(super) fn predict_run(submission: &Submission) -> Option<SubmissionId> {
    predict_spec(submission).map(|spec| spec.run)
}

fn predict_spec(submission: &Submission) -> Option<PredictSpec> {
    if submission.kind != SubmissionKind::Predict {
        return None;
    }
    serde_json::from_value(submission.spec.clone()).ok()
}

fn is_snoozed(state: State, snooze: &Snooze, now_ms: u64) -> bool {
    !state.is_terminal() && snooze.until_ms > now_ms
}

impl From<Snooze> for SnoozeView {
    fn from(snooze: Snooze) -> Self {
        let Snooze { until_ms, reason } = snooze;
        Self { until_ms, reason }
    }
}
