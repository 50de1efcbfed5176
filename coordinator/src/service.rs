//! The coordinator's operations, as the HTTP API calls them.
//!
//! Owns the seam between the transport and the work: typed requests in, views or [`RequestError`]s out.
//! Does not own how anything is carried out (see `submissions` and `runs`).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use common::{
    ids::SubmissionId,
    outcome::ItemResult,
    store::{State, StoreError, Submission, SubmissionKind},
    topology::Route,
    training::head_fingerprint,
};
use data::{manifest, target::Target};

use crate::{
    api::{
        ItemView, Page, QueueView, RunRequest, RunView, StatusView, StoredImage, SubmissionRequest,
        SubmissionView, WorkersView,
    },
    context::Context,
    runs,
    submissions::{self, EmbedSpec, PredictSpec, dataset_url, layout},
};

/// Longest a readiness check waits for the store.
const READY_LIMIT: Duration = Duration::from_secs(2);
/// Most images in one predict request.
const MAX_IMAGES: usize = 10_000;
/// Manifest parts that one page of failed items may look through.
const FAILED_PARTS: u32 = 64;
/// Submissions shown by the status.
const STATUS_SUBMISSIONS: usize = 10;

/// The running coordinator. Clones share it.
#[derive(Clone)]
pub struct Coordinator {
    context: Arc<Context>,
}

/// Why a request is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The request is wrong; the text says what to change. HTTP 422.
    #[error("{0}")]
    Invalid(String),
    /// It asks for something outside what is allowed. HTTP 403.
    #[error("{0}")]
    Forbidden(String),
    /// What it names is not there. HTTP 404.
    #[error("{0}")]
    NotFound(String),
    /// It cannot be served now. HTTP 503.
    #[error("{0}")]
    Unavailable(String),
}

impl From<StoreError> for RequestError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a request met a store that does not serve");
        Self::Unavailable("the store does not serve now; try again".to_owned())
    }
}

impl Coordinator {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    /// The background work.
    pub(crate) fn tracker(&self) -> &tokio_util::task::TaskTracker {
        &self.context.tracker
    }

    /// Takes up whatever an earlier life of the coordinator left unfinished.
    ///
    /// # Errors
    /// When the store does not serve.
    pub(crate) async fn resume(&self) -> Result<(), StoreError> {
        for id in self.context.store.active_submissions().await? {
            match self.context.store.submission(id).await? {
                // A run looks after the submission it made for itself.
                Some(submission) if submission.parent.is_some() => {}
                Some(submission) => {
                    tracing::info!(submission = %id, kind = ?submission.kind, "taking it up again");
                    self.look_after(id, submission.kind);
                }
                None => self.context.store.set_inactive(id).await?,
            }
        }
        Ok(())
    }

    fn look_after(&self, id: SubmissionId, kind: SubmissionKind) {
        let coordinator = self.clone();
        self.context.tracker.spawn(async move {
            match kind {
                SubmissionKind::Embed | SubmissionKind::Predict => {
                    submissions::look_after(&coordinator.context, id).await;
                }
                SubmissionKind::Train => runs::drive(&coordinator.context, id).await,
            }
        });
    }

    /// Accepts an embed or predict submission.
    ///
    /// # Errors
    /// When the request is wrong or cannot be recorded.
    pub async fn submit(&self, request: SubmissionRequest) -> Result<SubmissionView, RequestError> {
        let context = &self.context;
        let (kind, id) = match request {
            SubmissionRequest::Embed { dataset } => {
                let spec = EmbedSpec { dataset: dataset_url(context, &dataset)? };
                let kind = SubmissionKind::Embed;
                (kind, submissions::create(context, kind, &spec, None).await?)
            }
            SubmissionRequest::Predict { run, dataset, images } => {
                if dataset.is_some() != images.is_empty() {
                    return Err(RequestError::Invalid("give either a dataset or images".to_owned()));
                }
                if images.len() > MAX_IMAGES {
                    let images = images.len();
                    let detail =
                        format!("{images} images are over the limit of {MAX_IMAGES}: submit a dataset");
                    return Err(RequestError::Invalid(detail));
                }
                let run = runs::resolve(context, &run).await?;
                let dataset = dataset.map(|dataset| dataset_url(context, &dataset)).transpose()?;
                let kind = SubmissionKind::Predict;
                (kind, submissions::create(context, kind, &PredictSpec { run, dataset, images }, None).await?)
            }
        };
        self.look_after(id, kind);
        self.submission(id).await
    }

    /// Returns a submission.
    ///
    /// # Errors
    /// When there is none with this id, or the store does not serve.
    pub async fn submission(&self, id: SubmissionId) -> Result<SubmissionView, RequestError> {
        let submission = self.find(id).await?;
        Ok(view(&submission, self.context.store.now_ms().await?))
    }

    /// Lists submissions (embed and predict), newest first.
    ///
    /// # Errors
    /// When the cursor is none, or the store does not serve.
    pub async fn submissions(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<SubmissionView>, RequestError> {
        let now_ms = self.context.store.now_ms().await?;
        let (found, next) = self.list(cursor, limit, |kind| kind != SubmissionKind::Train).await?;
        Ok(Page { items: found.iter().map(|submission| view(submission, now_ms)).collect(), next })
    }

    /// Returns a page of items with their results, in manifest order; the cursor counts manifest parts.
    ///
    /// # Errors
    /// When there is no such submission, it has no manifest yet, or store or manifest cannot be read.
    pub async fn results(
        &self,
        id: SubmissionId,
        cursor: Option<&str>,
        failed_only: bool,
    ) -> Result<Page<ItemView>, RequestError> {
        let submission = self.find(id).await?;
        let Some(layout) = layout(&submission) else { return Ok(Page { items: Vec::new(), next: None }) };
        let target = self.target(&submission).await?;
        let mut part: u32 = match cursor {
            Some(text) => {
                text.parse().map_err(|_| RequestError::Invalid(format!("'{text}' is no cursor")))?
            }
            None => 0,
        };
        let last = layout.parts().min(part.saturating_add(if failed_only { FAILED_PARTS } else { 1 }));
        let mut items = Vec::new();
        while part < last {
            let manifest = manifest::read_part(&layout.part(part)).await.map_err(|error| {
                tracing::error!(submission = %id, part, %error, "a manifest part cannot be read");
                RequestError::Unavailable("the submission's manifest cannot be read".to_owned())
            })?;
            let first = layout.first_item(part);
            let results = self.context.store.results(id, first, manifest.len() as u64).await?;
            let rows = manifest.into_iter().zip(results);
            let wanted =
                rows.filter(|(_, result)| !failed_only || result.as_ref().is_some_and(ItemResult::is_failed));
            items.extend(wanted.map(|(item, result)| item_view(item.item, result, target)));
            part += 1;
        }
        Ok(Page { items, next: (part < layout.parts()).then(|| part.to_string()) })
    }

    /// Accepts a run.
    ///
    /// # Errors
    /// When the request is wrong or cannot be recorded.
    pub async fn submit_run(&self, request: RunRequest) -> Result<RunView, RequestError> {
        let run = runs::create(&self.context, request).await?;
        self.look_after(run, SubmissionKind::Train);
        self.run(run).await
    }

    /// Returns a run.
    ///
    /// # Errors
    /// When there is none with this id, or the store does not serve.
    pub async fn run(&self, id: SubmissionId) -> Result<RunView, RequestError> {
        let submission = self.find(id).await?;
        if submission.kind != SubmissionKind::Train {
            return Err(RequestError::NotFound(format!("{id} is no run but a submission")));
        }
        runs::view(&self.context, &submission).await
    }

    /// Lists runs, newest first.
    ///
    /// # Errors
    /// When the cursor is none, or the store does not serve.
    pub async fn runs(&self, cursor: Option<&str>, limit: usize) -> Result<Page<RunView>, RequestError> {
        let (found, next) = self.list(cursor, limit, |kind| kind == SubmissionKind::Train).await?;
        let mut items = Vec::with_capacity(found.len());
        for submission in &found {
            items.push(runs::view(&self.context, submission).await?);
        }
        Ok(Page { items, next })
    }

    /// Keeps an uploaded image; the caller has bounded its size.
    ///
    /// # Errors
    /// When it is empty or the store does not serve.
    pub async fn put_image(&self, bytes: Bytes) -> Result<StoredImage, RequestError> {
        if bytes.is_empty() {
            return Err(RequestError::Invalid("the image has no bytes".to_owned()));
        }
        let ttl = Duration::from_secs(self.context.settings.upload_ttl_seconds);
        let sha256 = self.context.store.put_image(&bytes, ttl).await?;
        Ok(StoredImage { sha256, bytes: bytes.len() as u64 })
    }

    /// Returns the workers.
    ///
    /// # Errors
    /// When the store does not serve.
    pub async fn workers(&self) -> Result<WorkersView, RequestError> {
        Ok(WorkersView { workers: self.context.store.workers().await? })
    }

    /// Returns how the whole system stands.
    ///
    /// # Errors
    /// When the store does not serve.
    pub async fn status(&self) -> Result<StatusView, RequestError> {
        let train = Route::Train(head_fingerprint());
        let mut queues = Vec::new();
        for route in [Route::Embed, Route::Predict, Route::PredictInteractive, train] {
            let queue = route.queue_name();
            let ready = self.context.publisher.queue_depth(&queue).await;
            queues.push(QueueView { queue, ready });
        }
        let now_ms = self.context.store.now_ms().await?;
        let newest = self.context.store.submissions(None, STATUS_SUBMISSIONS).await?;
        Ok(StatusView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            workers: self.context.store.workers().await?,
            queues,
            dead_letters: self.context.store.dead_letters().await?,
            submissions: newest.iter().map(|submission| view(submission, now_ms)).collect(),
        })
    }

    /// Checks that broker and store serve.
    ///
    /// # Errors
    /// When one of them does not.
    pub async fn ready(&self) -> Result<(), RequestError> {
        let unavailable = |what: &str| RequestError::Unavailable(format!("{what} does not serve"));
        match tokio::time::timeout(READY_LIMIT, self.context.store.ping()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Err(unavailable("Redis")),
        }
        if self.context.publisher.is_connected() { Ok(()) } else { Err(unavailable("RabbitMQ")) }
    }

    async fn find(&self, id: SubmissionId) -> Result<Submission, RequestError> {
        let found = self.context.store.submission(id).await?;
        found.ok_or_else(|| {
            RequestError::NotFound(format!("there is no submission or run {id}, or it has expired"))
        })
    }

    async fn list(
        &self,
        cursor: Option<&str>,
        limit: usize,
        wanted: impl Fn(SubmissionKind) -> bool,
    ) -> Result<(Vec<Submission>, Option<String>), RequestError> {
        let parse =
            |text: &str| text.parse().map_err(|_| RequestError::Invalid(format!("'{text}' is no cursor")));
        let mut before = cursor.map(parse).transpose()?;
        let mut found = Vec::new();
        loop {
            let page = self.context.store.submissions(before, limit).await?;
            let Some(last) = page.last() else { return Ok((found, None)) };
            before = Some(last.id);
            for submission in page.into_iter().filter(|submission| wanted(submission.kind)) {
                found.push(submission);
                if found.len() == limit {
                    let next = found.last().map(|last| last.id.to_string());
                    return Ok((found, next));
                }
            }
        }
    }

    /// What a predict submission predicts.
    async fn target(&self, submission: &Submission) -> Result<Option<Target>, RequestError> {
        let Some(run) = predict_run(submission) else { return Ok(None) };
        match self.context.store.submission(run).await? {
            Some(run) => Ok(Some(runs::view(&self.context, &run).await?.request.target)),
            None => Ok(None),
        }
    }
}

fn predict_run(submission: &Submission) -> Option<SubmissionId> {
    let spec: PredictSpec = serde_json::from_value(submission.spec.clone()).ok()?;
    (submission.kind == SubmissionKind::Predict).then_some(spec.run)
}

fn view(submission: &Submission, now_ms: u64) -> SubmissionView {
    let end = submission.finished_ms.unwrap_or(now_ms);
    let elapsed_seconds = end.saturating_sub(submission.created_ms) as f64 / 1e3;
    let resolved = (submission.succeeded + submission.failed) as f64;
    SubmissionView {
        submission: submission.id,
        kind: submission.kind,
        state: submission.state,
        items: submission.items,
        succeeded: submission.succeeded,
        failed: submission.failed,
        cached: submission.cached,
        elapsed_seconds,
        items_per_second: if elapsed_seconds > 0.0 { resolved / elapsed_seconds } else { 0.0 },
        error: submission.error.clone().filter(|_| submission.state == State::Failed),
        run: predict_run(submission).or(submission.parent),
    }
}

fn item_view(item: String, result: Option<ItemResult>, target: Option<Target>) -> ItemView {
    let row = ItemView {
        item,
        state: "pending".to_owned(),
        sha256: None,
        prediction: None,
        target: None,
        error: None,
    };
    match result {
        None => row,
        Some(ItemResult::Embedded { sha256, .. }) => {
            ItemView { state: "embedded".to_owned(), sha256: Some(sha256), ..row }
        }
        Some(ItemResult::Predicted { sha256, prediction, .. }) => ItemView {
            state: "predicted".to_owned(),
            sha256: Some(sha256),
            prediction: Some(prediction),
            target,
            ..row
        },
        Some(ItemResult::Failed(failure)) => {
            ItemView { state: "failed".to_owned(), error: Some(failure.to_string()), ..row }
        }
    }
}
