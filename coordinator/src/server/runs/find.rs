//! Finding a run: by id, or by the names `latest` and `best`.

use common::{
    ids::SubmissionId,
    store::{RunDocument, State, StoreError, Submission, SubmissionKind},
};
use dataset::target::Target;

use super::record::{RunReport, RunSpec};
use crate::server::{context::Context, error::RequestError};

/// Finds the run that a user names: an id, `latest` for the newest that succeeded, or `best` for the one
/// with the least test error beside its baseline.
///
/// # Errors
/// When there is none, or it has no head yet.
pub(crate) async fn resolve(context: &Context, name: &str) -> Result<SubmissionId, RequestError> {
    match name {
        "latest" => return choose(context, Choice::Latest).await,
        "best" => return choose(context, Choice::Best).await,
        _ => {}
    }
    let unknown = || RequestError::NotFound(format!("there is no run '{name}'; `subwatch runs` lists them"));
    let id: SubmissionId = name.parse().map_err(|_| unknown())?;
    let run = context.store.submission(id).await?.filter(|run| run.kind == SubmissionKind::Train);
    match run.ok_or_else(unknown)?.state {
        State::Succeeded => Ok(id),
        state => Err(RequestError::Invalid(format!("run {id} has no head to predict with: it is {state}"))),
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
            if ratio.is_finite() && best.is_none_or(|(least, _)| ratio < least) {
                best = Some((ratio, run.id));
            }
        }
    }
    best.map(|(_, run)| run).ok_or_else(|| {
        RequestError::NotFound("no run has succeeded yet: train one with `subwatch train DATASET`".to_owned())
    })
}

/// What a run shows of itself. One that is written in another way than here shows nothing, and hides no other.
pub(super) async fn report(context: &Context, run: SubmissionId) -> Result<Option<RunReport>, StoreError> {
    match context.store.document(run, RunDocument::Report).await {
        Err(error @ StoreError::Corrupt { .. }) => {
            tracing::warn!(%run, %error, "the run's report cannot be read");
            Ok(None)
        }
        report => report,
    }
}

/// Reads the request out of a run's record.
///
/// # Errors
/// When it is written in another way than here.
pub(crate) fn read_spec(submission: &Submission) -> Result<RunSpec, String> {
    serde_json::from_value(submission.spec.clone())
        .map_err(|error| format!("the run's request is unreadable: {error}"))
}

/// What a run's head predicts.
///
/// # Errors
/// When the record is no run's.
pub(crate) fn target(submission: &Submission) -> Result<Target, RequestError> {
    Ok(read_spec(submission).map_err(RequestError::Unavailable)?.settings.target)
}
