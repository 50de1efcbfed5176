//! Training runs: data-parallel over the workers, with the gradients averaged here.
//!
//! Owns a run from its request to its head. Does not own how gradients are computed (worker) or how jobs
//! travel (broker). Invariant: the head's bits depend on the samples, the request and the number of
//! leaves, never on the number, order or deaths of workers.

mod adam;
mod artifacts;
mod driver;
mod machine;
mod metrics;
mod pass;
mod report;
mod setup;

use common::{
    ids::SubmissionId,
    store::{State, StoreError, Submission, SubmissionKind},
};
use serde::{Deserialize, Serialize};
use url::Url;

pub(crate) use self::artifacts::{head, samples, tested};
use self::report::Report;
use super::{context::Context, service::RequestError, submissions::dataset_url};
use crate::api::{RunRequest, RunView};

/// A run as its coordinator reads it again after a restart.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct RunSpec {
    pub(crate) dataset: Url,
    pub(crate) request: RunRequest,
}

/// Why a run does not go on.
#[derive(Debug, thiserror::Error)]
enum RunError {
    /// This coordinator is ending, or another one leads; the run goes on there.
    #[error("the coordinator is stopping")]
    Stopping,
    /// Someone closed the run: it was cancelled, or a job of it was discarded.
    #[error("the run was closed")]
    Closed,
    /// The store was put back to an older state: the run goes on from what it holds.
    #[error("the store does not hold the run's latest state any more")]
    Forgotten,
    /// It cannot be carried out.
    #[error("{0}")]
    Failed(String),
    /// The store does not serve.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for RunError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Replaced => Self::Stopping,
            error => Self::Store(error),
        }
    }
}

impl RunError {
    /// Whether the run can go on from its checkpoint.
    fn is_passing(&self) -> bool {
        match self {
            Self::Forgotten => true,
            Self::Store(error) => error.is_retryable(),
            Self::Stopping | Self::Closed | Self::Failed(_) => false,
        }
    }
}

impl From<machine::Diverged> for RunError {
    fn from(diverged: machine::Diverged) -> Self {
        Self::Failed(diverged.to_string())
    }
}

/// Checks a request, and returns how it is recorded.
///
/// # Errors
/// When the request is wrong.
pub(crate) fn check(context: &Context, request: RunRequest) -> Result<RunSpec, RequestError> {
    validate(&request)?;
    Ok(RunSpec { dataset: dataset_url(context, &request.dataset)?, request })
}

fn validate(request: &RunRequest) -> Result<(), RequestError> {
    let check =
        |good: bool, what: &str| if good { Ok(()) } else { Err(RequestError::Invalid(what.to_owned())) };
    check((1..=100_000).contains(&request.epochs), "epochs must be between 1 and 100000")?;
    check((1..=1_000_000).contains(&request.batch_size), "batch_size must be between 1 and 1000000")?;
    check((1..=4096).contains(&request.leaves), "leaves must be between 1 and 4096")?;
    check(
        request.learning_rate.is_finite() && request.learning_rate > 0.0,
        "learning_rate must be a positive number",
    )
}

/// Carries a run to its end, or until the coordinator stops. A store that does not serve for a while, or was
/// put back to an older state, only delays it: it goes on from its checkpoint. One that fails keeps the
/// checkpoint, so that it can be resumed.
pub(crate) async fn drive(context: &Context, run: SubmissionId) {
    const PAUSE: std::time::Duration = std::time::Duration::from_secs(2);
    loop {
        let error = match drive_once(context, run).await {
            Ok(()) => break tracing::info!(%run, "run succeeded"),
            Err(RunError::Stopping) => return,
            Err(RunError::Closed) => break tracing::info!(%run, "run was closed"),
            Err(error) if error.is_passing() => error.to_string(),
            Err(error) => {
                tracing::error!(%run, %error, "run failed");
                let error = error.to_string();
                match context.store.close_submission(run, State::Failed, Some(&error), true).await {
                    Ok(_) => break,
                    Err(StoreError::Replaced) => return,
                    Err(error) => error.to_string(),
                }
            }
        };
        tracing::warn!(%run, %error, "run goes on from its checkpoint in {PAUSE:?}");
        tokio::select! {
            () = context.stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    if let Err(error) = settle(context, run).await {
        tracing::warn!(%run, %error, "traces of the run stay in the store");
    }
}

/// Forgets what a run that has ended for good needs no more.
async fn settle(context: &Context, run: SubmissionId) -> Result<(), StoreError> {
    match context.store.state(run).await? {
        Some(State::Succeeded | State::Cancelled) => context.store.forget_progress(run).await?,
        // The store was put back to before the end, so the run is taken up again.
        Some(State::Preparing | State::Running) => return Ok(()),
        Some(_) | None => {}
    }
    context.store.set_inactive(run).await
}

async fn drive_once(context: &Context, run: SubmissionId) -> Result<(), RunError> {
    if !context.store.take_over(run).await? {
        return Err(RunError::Closed);
    }
    let submission = context.store.submission(run).await?.ok_or(RunError::Closed)?;
    if submission.state.is_terminal() {
        return Err(RunError::Closed);
    }
    let spec = read_spec(&submission).map_err(RunError::Failed)?;
    context.store.open_run(run).await?;
    driver::drive(context, &submission, &spec).await
}

/// Checks that the run is to go on.
async fn require_open(context: &Context, run: SubmissionId) -> Result<(), RunError> {
    match context.store.state(run).await? {
        Some(State::Running) => Ok(()),
        Some(State::Preparing) => Err(RunError::Forgotten),
        _ => Err(RunError::Closed),
    }
}

/// Returns a run's view.
///
/// # Errors
/// When the record is no run or the store does not serve.
pub(crate) async fn view(context: &Context, submission: &Submission) -> Result<RunView, RequestError> {
    let spec = read_spec(submission).map_err(RequestError::Unavailable)?;
    let report = report(context, submission.id).await?;
    let now_ms = context.store.now_ms().await?;
    Ok(report.unwrap_or_default().view(submission, spec.request, now_ms))
}

/// What a run shows of itself. One that is written in another way than here shows nothing, and hides no other.
async fn report(context: &Context, run: SubmissionId) -> Result<Option<Report>, StoreError> {
    match context.store.document(run, "report").await {
        Err(error @ StoreError::Corrupt { .. }) => {
            tracing::warn!(%run, %error, "the run's report cannot be read");
            Ok(None)
        }
        report => report,
    }
}

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

fn read_spec(submission: &Submission) -> Result<RunSpec, String> {
    serde_json::from_value(submission.spec.clone())
        .map_err(|error| format!("the run's request is unreadable: {error}"))
}
