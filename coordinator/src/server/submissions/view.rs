//! Shows submissions: one, or a page.

use common::{
    embedding::Space,
    ids::SubmissionId,
    job::kind::Kind,
    store::{Snooze, State, Submission, SubmissionKind},
};

use super::{
    manifest::{Layout, layout},
    output,
    spec::{PredictSpec, subject},
};
use crate::{
    api::{Page, SnoozeView, SubmissionView},
    server::{context::Context, error::RequestError, lookup, pages::PageSize, spaces::Fleet},
};

pub(crate) async fn get(context: &Context, id: SubmissionId) -> Result<SubmissionView, RequestError> {
    let submission = lookup::submission(context, id).await?;
    let fleet = Fleet::read(&context.store).await?;
    Ok(view(&submission, context.store.now_ms().await?, &fleet))
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
    let fleet = Fleet::read(&context.store).await?;
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
            let view = view(submission, now_ms, &fleet);
            size.add(&view);
            items.push(view);
        }
    }
}

/// Most submissions that the status shows as waiting.
const MAX_WAITING: usize = 20;

/// Returns the oldest unfinished submissions whose jobs no live worker can run.
pub(crate) async fn waiting(context: &Context, fleet: &Fleet) -> Result<Vec<SubmissionView>, RequestError> {
    let now_ms = context.store.now_ms().await?;
    let mut waiting = Vec::new();
    for id in context.store.active_submissions().await? {
        if waiting.len() == MAX_WAITING {
            break;
        }
        let view = context.store.submission(id).await?.map(|submission| view(&submission, now_ms, fleet));
        waiting.extend(view.filter(|view| view.waiting.is_some()));
    }
    Ok(waiting)
}

pub(crate) fn view(submission: &Submission, now_ms: u64, fleet: &Fleet) -> SubmissionView {
    let end = submission.finished_ms.unwrap_or(now_ms);
    let elapsed_seconds = end.saturating_sub(submission.created_ms) as f64 / 1e3;
    let layout = layout(submission);
    let without_row = layout.as_ref().filter(|layout| layout.labelled).map_or(0, |layout| layout.without_row);
    let space = space(submission, layout.as_ref());
    let resolved = (submission.succeeded + submission.failed) as f64;
    SubmissionView {
        submission: submission.id,
        kind: submission.kind,
        state: submission.state,
        subject: subject(&submission.spec),
        created_ms: submission.created_ms,
        submitted_by: submission.submitted_by.clone(),
        items: submission.items,
        incomplete: submission.is_listing,
        succeeded: submission.succeeded,
        failed: submission.failed,
        cached: submission.cached,
        computed_on: submission.computed_on.clone(),
        waiting: reason_to_wait(submission, fleet),
        space,
        thumbnails: (submission.kind == SubmissionKind::Crawl).then_some(submission.thumbnails),
        snoozed: submission
            .snoozed
            .clone()
            .filter(|snooze| is_snoozed(submission.state, snooze, now_ms))
            .map(SnoozeView::from),
        elapsed_seconds,
        items_per_second: if elapsed_seconds > 0.0 { resolved / elapsed_seconds } else { 0.0 },
        without_row: (without_row > 0).then_some(without_row),
        output: layout.as_ref().and_then(|layout| output::view(submission, layout)),
        skipped_files: layout.map(|layout| layout.skipped_files).unwrap_or_default(),
        error: submission.error.clone().filter(|_| submission.state == State::Failed),
        run: predict_run(submission).or(submission.parent),
        run_chosen: predict_spec(submission).and_then(|spec| spec.chosen),
    }
}

/// Returns the space of the submission's jobs; `None` for a crawl or run, and until it is decided.
pub(crate) fn space(submission: &Submission, layout: Option<&Layout>) -> Option<Space> {
    let of_request = || serde_json::from_value(submission.spec.get("space")?.clone()).ok();
    layout.and_then(|layout| layout.space.clone()).or_else(of_request)
}

/// Says what an unfinished submission waits for, if no live worker can run its jobs.
pub(crate) fn reason_to_wait(submission: &Submission, fleet: &Fleet) -> Option<String> {
    let kind = match submission.kind {
        SubmissionKind::Embed => Kind::Embed,
        SubmissionKind::Predict => Kind::Predict,
        SubmissionKind::Train | SubmissionKind::Crawl => return None,
    };
    if submission.state.is_terminal() {
        return None;
    }
    match space(submission, layout(submission).as_ref()) {
        Some(space) if !fleet.serves(kind, &space) => Some(format!(
            "no live worker runs {kind} jobs in embedding space {space}: start one with the same weights, precision and \
             kind of device"
        )),
        None if fleet.usual_space(kind).is_none() => {
            Some(format!("no live worker runs {kind} jobs: start one with `make up` or `subwatch-worker`"))
        }
        _ => None,
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
