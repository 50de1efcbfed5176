//! Submitting, from a request to a record that the leader finds; and stopping what was submitted.
//!
//! Owns what requests for embed, predict and crawl submissions are accepted, and the one place where a
//! submission or run is recorded. Writing the record wakes the coordinator that leads; what happens next is in
//! `drive`.

use std::time::Duration;

use common::{
    ids::SubmissionId,
    store::{NewSubmission, State, StoreError, SubmissionKind},
};
use serde::Serialize;
use url::Url;

use super::{
    admission::{self, Admission, Caller},
    crawl::CrawlSpec,
    spec::{EmbedSpec, NamedImage, PredictSpec},
    view,
};
use crate::{
    api::{CrawlRequest, SubmissionRequest, SubmissionView, UploadedImage},
    server::{context::Context, error::RequestError, lookup, runs},
};

/// Longest deadline: 30 days.
const MAX_DEADLINE_SECONDS: u64 = 30 * 24 * 3600;

/// A request that was checked: what is recorded of it.
pub(crate) struct Checked {
    kind: SubmissionKind,
    spec: serde_json::Value,
    deadline: Option<Duration>,
}

impl Checked {
    /// Checks the deadline of a request whose other parts are in `spec`.
    ///
    /// # Errors
    /// When it is out of range.
    pub(crate) fn new(
        kind: SubmissionKind,
        spec: &impl Serialize,
        deadline_seconds: Option<u64>,
    ) -> Result<Self, RequestError> {
        let deadline = match deadline_seconds {
            Some(seconds) if !(1..=MAX_DEADLINE_SECONDS).contains(&seconds) => {
                return Err(RequestError::Invalid(format!(
                    "deadline_seconds is {seconds}: it must be between 1 and {MAX_DEADLINE_SECONDS}"
                )));
            }
            seconds => seconds.map(Duration::from_secs),
        };
        let spec = serde_json::to_value(spec).expect("a spec is plain data");
        Ok(Self { kind, spec, deadline })
    }
}

/// What is recorded of a submission beside what it asks for.
#[derive(Clone, Default, Debug)]
pub(crate) struct Terms {
    /// The run that makes it for itself.
    pub(crate) parent: Option<SubmissionId>,
    /// How long its jobs may take.
    pub(crate) deadline: Option<Duration>,
    /// W3C trace context of the request, for its jobs.
    pub(crate) traceparent: Option<String>,
}

/// Accepts a submission of items. Sent again under the same key, it is the same submission.
///
/// # Errors
/// When the request is wrong, not let in, or cannot be recorded.
pub(crate) async fn submit(
    context: &Context,
    request: SubmissionRequest,
    caller: &Caller,
) -> Result<SubmissionView, RequestError> {
    let id = submit_checked(context, &request, caller, check(context, &request)).await?;
    view::get(context, id).await
}

/// Records what `check` makes of a request, unless it was recorded before under its key. A repeat is not checked
/// again: what it names may be gone by now.
///
/// # Errors
/// When the check fails, the request is not let in, or the store does not serve.
pub(crate) async fn submit_checked(
    context: &Context,
    request: &impl Serialize,
    caller: &Caller,
    check: impl Future<Output = Result<Checked, RequestError>>,
) -> Result<SubmissionId, RequestError> {
    let Caller { key, traceparent } = caller;
    if let Some(id) = admission::repeat_of(context, request, key.as_ref()).await? {
        return Ok(id);
    }
    let Checked { kind, spec, deadline } = check.await?;
    match admission::admit(context, request, key.as_ref()).await? {
        Admission::Repeat(id) => Ok(id),
        Admission::Create(id) => {
            let terms = Terms { parent: None, deadline, traceparent: traceparent.clone() };
            create(context, id, kind, &spec, terms).await?;
            Ok(id)
        }
    }
}

/// Records a submission or run in the state `preparing`, unless it is recorded already, and wakes the coordinator
/// that leads.
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
    let Terms { parent, deadline, traceparent } = terms;
    let new = NewSubmission { id, kind, spec, parent, retention, deadline, traceparent };
    context.store.create_submission(&new).await
}

async fn check(context: &Context, request: &SubmissionRequest) -> Result<Checked, RequestError> {
    match request {
        SubmissionRequest::Embed { dataset, images, deadline_seconds } => {
            let (dataset, images) = items(context, dataset.as_deref(), images)?;
            let spec = EmbedSpec { dataset, images };
            Checked::new(SubmissionKind::Embed, &spec, *deadline_seconds)
        }
        SubmissionRequest::Predict { run, dataset, images, deadline_seconds } => {
            let (dataset, images) = items(context, dataset.as_deref(), images)?;
            let run = runs::resolve(context, run).await?;
            let spec = PredictSpec { run, dataset, images };
            Checked::new(SubmissionKind::Predict, &spec, *deadline_seconds)
        }
        SubmissionRequest::Crawl(request) => {
            let out = context.roots.resolve_new(&request.out)?;
            let spec =
                CrawlSpec::read(CrawlRequest::clone(request), out, &context.settings.images.fetch_allow);
            let spec = spec.map_err(RequestError::Invalid)?;
            Checked::new(SubmissionKind::Crawl, &spec, request.deadline_seconds)
        }
    }
}

/// Checks that a request is about either a dataset or images, and returns them as they are recorded.
fn items(
    context: &Context,
    dataset: Option<&str>,
    images: &[UploadedImage],
) -> Result<(Option<Url>, Vec<NamedImage>), RequestError> {
    if dataset.is_some() != images.is_empty() {
        return Err(RequestError::Invalid("give either a dataset or images".to_owned()));
    }
    if images.len() > SubmissionRequest::MAX_IMAGES {
        let limit = SubmissionRequest::MAX_IMAGES;
        let images = images.len();
        let detail = format!("{images} images are over the limit of {limit}: submit a dataset");
        return Err(RequestError::Invalid(detail));
    }
    let dataset = dataset.map(|dataset| context.roots.resolve(dataset)).transpose()?;
    Ok((dataset, images.iter().map(NamedImage::from).collect()))
}

/// Stops a submission or run: nothing more is published, and what is queued is dropped as it is met.
///
/// # Errors
/// When there is none with this id, it has ended already, or the store does not serve.
pub(crate) async fn cancel(context: &Context, id: SubmissionId) -> Result<SubmissionView, RequestError> {
    let submission = lookup::submission(context, id).await?;
    let keep = submission.kind == SubmissionKind::Train;
    if !context.store.close_submission(id, State::Cancelled, None, keep).await? {
        let state = lookup::submission(context, id).await?.state;
        return Err(RequestError::Conflict(format!("{id} has ended already: it is {state}")));
    }
    view::get(context, id).await
}
