//! Submissions of items: embed, predict and crawl.
//!
//! Owns their way from a request to jobs in the queue and back to results. Does not own runs, which only
//! borrow an embed submission. Invariant: whatever is interrupted is taken up again by [`look_after`],
//! from the store alone.

mod crawl;
mod layout;
mod manifest;
mod prepare;
mod publish;
mod sweep;

use std::time::Duration;

use common::{
    ids::SubmissionId,
    store::{NewSubmission, State, StoreError, Submission, SubmissionKind},
};
use dataset::roots::RootError;
use serde::{Deserialize, Serialize};
use url::Url;

pub(crate) use self::{
    crawl::CrawlSpec,
    layout::{Layout, layout},
    publish::Jobs,
};
use super::{context::Context, service::RequestError};
use crate::api::UploadedImage;

/// Pause before a submission is looked after again when the store or the broker did not serve.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// An embed submission as its coordinator reads it again after a restart.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct EmbedSpec {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dataset: Option<Url>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) images: Vec<UploadedImage>,
}

/// A predict submission, likewise.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct PredictSpec {
    pub(crate) run: SubmissionId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dataset: Option<Url>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) images: Vec<UploadedImage>,
}

/// Why a submission does not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmissionError {
    /// It cannot be carried out; the text is for whoever submitted it.
    #[error("{0}")]
    Failed(String),
    /// The store does not serve.
    #[error(transparent)]
    Store(StoreError),
    /// This coordinator is ending, or another one leads.
    #[error("the coordinator is stopping")]
    Stopping,
}

impl From<StoreError> for SubmissionError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Replaced => Self::Stopping,
            error => Self::Store(error),
        }
    }
}

/// What a user says of a submission beside what it is to do.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Terms {
    /// The run that makes it for itself.
    pub(crate) parent: Option<SubmissionId>,
    /// How long its jobs may take.
    pub(crate) deadline: Option<Duration>,
}

/// Records a submission in the state `preparing`, unless it is recorded already; the coordinator that leads
/// carries it out (see [`look_after`]).
///
/// # Errors
/// When the store does not serve.
pub(crate) async fn create(
    context: &Context,
    id: SubmissionId,
    kind: SubmissionKind,
    spec: &impl Serialize,
    terms: Terms,
) -> Result<(), StoreError> {
    let spec = serde_json::to_value(spec).expect("a spec is plain data");
    let retention = context.settings.jobs.retention();
    let Terms { parent, deadline } = terms;
    context.store.create_submission(&NewSubmission { id, kind, spec, parent, retention, deadline }).await
}

/// Checks that a user's dataset lies where datasets may lie.
///
/// # Errors
/// When it does not, or is no folder.
pub(crate) fn dataset_url(context: &Context, text: &str) -> Result<Url, RequestError> {
    context.roots.resolve(text).map_err(|error| unresolved(&error))
}

/// Checks that the dataset which a user wants written lies where datasets may lie.
///
/// # Errors
/// When it does not, or is no folder.
pub(crate) fn new_dataset_url(context: &Context, text: &str) -> Result<Url, RequestError> {
    context.roots.resolve_new(text).map_err(|error| unresolved(&error))
}

fn unresolved(error: &RootError) -> RequestError {
    match error {
        RootError::Missing { .. } => RequestError::NotFound(error.to_string()),
        RootError::Outside { .. } => RequestError::Forbidden(error.to_string()),
        _ => RequestError::Invalid(error.to_string()),
    }
}

/// Carries a submission from wherever it stands to its end, or until the coordinator stops.
pub(crate) async fn look_after(context: &Context, id: SubmissionId) {
    loop {
        let paused = match carry_on(context, id).await {
            Ok(()) => break,
            Err(SubmissionError::Stopping) => return,
            Err(SubmissionError::Store(error)) => error.to_string(),
            Err(SubmissionError::Failed(error)) => {
                tracing::warn!(submission = %id, %error, "submission failed");
                match context.store.close_submission(id, State::Failed, Some(&error), false).await {
                    Ok(_) => break,
                    Err(StoreError::Replaced) => return,
                    Err(error) => error.to_string(),
                }
            }
        };
        tracing::warn!(submission = %id, error = %paused, "submission waits for the store");
        tokio::select! {
            () = context.stop.cancelled() => return,
            () = tokio::time::sleep(RETRY_PAUSE) => {}
        }
    }
    if let Err(error) = context.store.set_inactive(id).await {
        tracing::warn!(submission = %id, %error, "submission stays on the list of active ones");
    }
}

async fn carry_on(context: &Context, id: SubmissionId) -> Result<(), SubmissionError> {
    if !context.store.take_over(id).await? {
        return Ok(());
    }
    // Around again where the store was put back to an older state meanwhile: every step may be taken twice.
    loop {
        let Some(submission) = context.store.submission(id).await? else { return Ok(()) };
        match submission.state {
            State::Preparing => prepare::prepare(context, &submission).await?,
            State::Running if submission.jobs_published < submission.jobs => {
                publish::publish(context, &submission).await?;
            }
            State::Running => sweep::watch(context, id).await?,
            _ => return Ok(()),
        }
    }
}

fn read_spec<T: for<'de> Deserialize<'de>>(submission: &Submission) -> Result<T, SubmissionError> {
    serde_json::from_value(submission.spec.clone())
        .map_err(|error| SubmissionError::Failed(format!("its request is unreadable: {error}")))
}
