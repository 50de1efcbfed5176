//! Finds a run by ID, or by the names `latest` and `best`.

use common::{
    ids::SubmissionId,
    store::{RunDocument, State, StoreError, Submission, SubmissionKind},
};
use dataset::target::Target;

use super::record::{RunReport, RunSpec};
use crate::server::{context::Context, error::RequestError, lookup};

/// Finds a succeeded run: by ID; `latest` for the newest; `best` for the one with the lowest ratio of test MSE to
/// baseline MSE.
///
/// # Errors
/// `NotFound` if the run does not exist; `Invalid` if it has not succeeded, so that it has no head.
pub(crate) async fn resolve(context: &Context, name: &str) -> Result<SubmissionId, RequestError> {
    match name {
        "latest" => return choose(context, Choice::Latest).await,
        "best" => return choose(context, Choice::Best).await,
        _ => {}
    }
    let unknown =
        || RequestError::NotFound(format!("run '{name}' does not exist; `subwatch runs` lists all"));
    let id = lookup::id(context, name).await?;
    let run = context.store.submission(id).await?.filter(|run| run.kind == SubmissionKind::Train);
    match run.ok_or_else(unknown)?.state {
        State::Succeeded => Ok(id),
        state => Err(RequestError::Invalid(format!(
            "only a run that has succeeded can predict: the state of {id} is {state}"
        ))),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Latest,
    Best,
}

async fn choose(context: &Context, choice: Choice) -> Result<SubmissionId, RequestError> {
    const PAGE: usize = 100;
    let mut before = None;
    let mut best: Option<(f64, SubmissionId)> = None;
    loop {
        let page = context.store.runs(before, PAGE).await?;
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        for run in page.iter().filter(|run| run.state == State::Succeeded) {
            if choice == Choice::Latest {
                return Ok(run.id);
            }
            let report = report(context, run.id).await?;
            let Some(ratio) = report.and_then(|report| report.test).map(|test| test.mse / test.baseline_mse)
            else {
                continue;
            };
            if ratio.is_finite() && best.is_none_or(|(lowest, _)| ratio < lowest) {
                best = Some((ratio, run.id));
            }
        }
    }
    best.map(|(_, run)| run).ok_or_else(|| {
        RequestError::NotFound("no run has succeeded yet: train one with `subwatch train DATASET`".to_owned())
    })
}

/// Reads a run's report; `None` if this version cannot read it, so that one run cannot break the list.
pub(super) async fn report(context: &Context, run: SubmissionId) -> Result<Option<RunReport>, StoreError> {
    match context.store.document(run, RunDocument::Report).await {
        Err(error @ StoreError::Corrupt { .. }) => {
            tracing::warn!(%run, %error, "cannot read the run's report");
            Ok(None)
        }
        report => report,
    }
}

/// Reads the stored request of a run.
pub(crate) fn read_spec(submission: &Submission) -> Result<RunSpec, String> {
    serde_json::from_value(submission.spec.clone())
        .map_err(|error| format!("cannot read the run's stored request: {error}"))
}

/// Returns the target of a run.
pub(crate) fn target(submission: &Submission) -> Result<Target, RequestError> {
    Ok(read_spec(submission).map_err(RequestError::Unavailable)?.settings.target)
}
