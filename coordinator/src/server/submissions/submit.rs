//! Submits embed, predict and crawl submissions, and cancels submissions and runs.
//!
//! Owns the checks of a request, and the only place that creates the record of a submission or run. Writing the record
//! notifies the leader, which continues in `drive`.

use std::time::Duration;

use common::{
    ids::SubmissionId,
    job::kind::Kind,
    store::{NewSubmission, RunDocument, State, StoreError, SubmissionKind},
    training::protocol::Head,
};
use dataset::manifest::MAX_NAME_BYTES;
use serde::Serialize;
use url::Url;

use super::{
    admission::{self, Admission, Caller},
    crawl::CrawlSpec,
    output,
    spec::{EmbedSpec, NamedImage, PredictSpec},
    view,
};
use crate::{
    api::{CrawlRequest, SubmissionRequest, SubmissionView, UploadedImage},
    server::{
        context::Context,
        error::RequestError,
        lookup,
        runs::{self, ResolvedRun},
        spaces,
    },
};

/// 30 days.
const MAX_DEADLINE_SECONDS: u64 = 30 * 24 * 3600;

/// A checked request, ready to be recorded.
pub(crate) struct Checked {
    kind: SubmissionKind,
    spec: serde_json::Value,
    deadline: Option<Duration>,
}

impl Checked {
    /// Makes a checked request of `spec`, after checking the deadline too.
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

/// Optional fields of a submission's record.
#[derive(Clone, Default, Debug)]
pub(crate) struct SubmitOptions {
    /// The run that created the submission and drives it.
    pub(crate) parent: Option<SubmissionId>,
    /// Time until unfinished jobs are discarded.
    pub(crate) deadline: Option<Duration>,
    /// W3C trace context of the submission's jobs.
    pub(crate) traceparent: Option<String>,
    /// Name of the access token that submitted it.
    pub(crate) submitted_by: Option<String>,
}

/// Submits a request. Repeating a request with its idempotency key returns the first submission.
pub(crate) async fn submit(
    context: &Context,
    request: SubmissionRequest,
    caller: &Caller,
) -> Result<SubmissionView, RequestError> {
    let id = submit_checked(context, &request, caller, check(context, &request)).await?;
    view::get(context, id).await
}

/// Records a request after `check`, unless it repeats an earlier one by its key. A repeat is not checked again: its
/// dataset or run may not exist any more.
pub(crate) async fn submit_checked(
    context: &Context,
    request: &impl Serialize,
    caller: &Caller,
    check: impl Future<Output = Result<Checked, RequestError>>,
) -> Result<SubmissionId, RequestError> {
    let Caller { token, key, traceparent } = caller;
    if let Some(id) = admission::repeat_of(context, request, key.as_ref()).await? {
        return Ok(id);
    }
    let Checked { kind, spec, deadline } = check.await?;
    match admission::admit(context, request, key.as_ref()).await? {
        Admission::Repeat(id) => Ok(id),
        Admission::Create(id) => {
            let options = SubmitOptions {
                parent: None,
                deadline,
                traceparent: traceparent.clone(),
                submitted_by: token.clone(),
            };
            create(context, id, kind, &spec, options).await?;
            Ok(id)
        }
    }
}

/// Records a submission or run in the state `preparing`, unless it is recorded already, and notifies the leader.
pub(crate) async fn create(
    context: &Context,
    id: SubmissionId,
    kind: SubmissionKind,
    spec: &impl Serialize,
    options: SubmitOptions,
) -> Result<(), StoreError> {
    let spec = serde_json::to_value(spec).expect("a spec is plain data");
    let retention = context.settings.jobs.retention();
    let SubmitOptions { parent, deadline, traceparent, submitted_by } = options;
    let new = NewSubmission { id, kind, spec, parent, retention, deadline, traceparent, submitted_by };
    context.store.create_submission(&new).await
}

async fn check(context: &Context, request: &SubmissionRequest) -> Result<Checked, RequestError> {
    match request {
        SubmissionRequest::Embed { dataset, images, space, uniform_hardware, deadline_seconds } => {
            let (dataset, images) = items(context, dataset.as_deref(), images)?;
            let requested = spaces::check(&context.store, space.as_deref()).await?;
            let uniform_hardware = *uniform_hardware;
            let space =
                spaces::decide_if_possible(&context.store, Kind::Embed, requested, uniform_hardware).await?;
            let spec = EmbedSpec { dataset, images, rows_only: false, space, uniform_hardware };
            Checked::new(SubmissionKind::Embed, &spec, *deadline_seconds)
        }
        SubmissionRequest::Predict {
            run,
            target,
            dataset,
            images,
            uniform_hardware,
            output,
            deadline_seconds,
        } => {
            let (dataset, images) = items(context, dataset.as_deref(), images)?;
            let ResolvedRun { run, chosen } = runs::for_prediction(context, run, *target).await?;
            let head: Option<Head> = context.store.document(run, RunDocument::Head).await?;
            let requested = head.map(|head| head.space);
            let uniform_hardware = *uniform_hardware;
            let space =
                spaces::decide_if_possible(&context.store, Kind::Predict, requested, uniform_hardware)
                    .await?;
            let output = match output {
                Some(output) if dataset.is_some() => Some(output::check(context, output).await?),
                Some(_) => {
                    let detail = "an output needs a dataset: uploaded images have results only";
                    return Err(RequestError::Invalid(detail.to_owned()));
                }
                None => None,
            };
            let spec = PredictSpec { run, chosen, dataset, images, space, uniform_hardware, output };
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

/// Checks that a request has either a dataset or images, and returns their stored form.
fn items(
    context: &Context,
    dataset: Option<&str>,
    images: &[UploadedImage],
) -> Result<(Option<Url>, Vec<NamedImage>), RequestError> {
    if dataset.is_some() != images.is_empty() {
        return Err(RequestError::Invalid("give exactly one of `dataset` and `images`".to_owned()));
    }
    if images.len() > SubmissionRequest::MAX_IMAGES {
        let limit = SubmissionRequest::MAX_IMAGES;
        let images = images.len();
        let detail = format!("{images} images exceed the limit of {limit}: submit a dataset");
        return Err(RequestError::Invalid(detail));
    }
    if let Some(image) = images.iter().find(|image| image.item.len() > MAX_NAME_BYTES) {
        return Err(RequestError::Invalid(format!(
            "the name of an image has {} bytes, over the limit of {MAX_NAME_BYTES}",
            image.item.len()
        )));
    }
    let dataset = dataset.map(|dataset| context.roots.resolve(dataset)).transpose()?;
    Ok((dataset, images.iter().map(NamedImage::from).collect()))
}

/// Cancels a submission or run: no more jobs are published, and workers drop the queued ones.
///
/// # Errors
/// `NotFound` if it does not exist; `Conflict` if it has ended.
pub(crate) async fn cancel(context: &Context, id: SubmissionId) -> Result<SubmissionView, RequestError> {
    let submission = lookup::submission(context, id).await?;
    let keep = submission.kind == SubmissionKind::Train;
    if !context.store.close_submission(id, State::Cancelled, None, keep).await? {
        let state = lookup::submission(context, id).await?.state;
        return Err(RequestError::Conflict(format!("{id} has already ended: its state is {state}")));
    }
    view::get(context, id).await
}
