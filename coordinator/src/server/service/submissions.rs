//! Submissions, their items and their jobs.

use std::time::Duration;

use common::{
    digest::Digest,
    ids::SubmissionId,
    job::outcome::ItemResult,
    store::{JobStatus, Pause, State, Submission, SubmissionKind},
};
use dataset::{manifest::ManifestItem, parts, target::Target};
use serde::Serialize;
use url::Url;

use super::{
    Coordinator, RequestError,
    admission::{Admission, IdempotencyKey},
};
use crate::{
    api::{
        CrawlRequest, EmbeddingView, ItemView, JobView, Page, SubmissionRequest, SubmissionView,
        UploadedImage,
    },
    server::{
        submissions::{
            self, CrawlSpec, EmbedSpec, Layout, PredictSpec, Terms, dataset_url, layout, new_dataset_url,
        },
        training as runs,
    },
};

/// Most images in one request.
const MAX_IMAGES: usize = 10_000;
/// Longest deadline: 30 days.
const MAX_DEADLINE_SECONDS: u64 = 30 * 24 * 3600;
/// Manifest parts that one page of failed items may look through.
const FAILED_PARTS: u32 = 64;
/// Items on one page of results, where a manifest part holds fewer.
const PAGE_ITEMS: u32 = 64;
/// Jobs on one page.
const JOBS: u32 = 1000;

/// What a request asks for, checked.
struct Asked {
    kind: SubmissionKind,
    spec: serde_json::Value,
    deadline_seconds: Option<u64>,
}

impl Asked {
    fn new(kind: SubmissionKind, spec: &impl Serialize, deadline_seconds: Option<u64>) -> Self {
        let spec = serde_json::to_value(spec).expect("a spec is plain data");
        Self { kind, spec, deadline_seconds }
    }
}

impl Coordinator {
    /// Accepts a submission of items. Sent again under the same key, it is the same submission.
    ///
    /// # Errors
    /// When the request is wrong, not let in, or cannot be recorded.
    pub async fn submit(
        &self,
        request: SubmissionRequest,
        key: Option<&IdempotencyKey>,
    ) -> Result<SubmissionView, RequestError> {
        if let Some(id) = self.repeat_of(&request, key).await? {
            return self.submission(id).await;
        }
        let Asked { kind, spec, deadline_seconds } = self.read_request(&request).await?;
        let terms = Terms { parent: None, deadline: deadline(deadline_seconds)? };
        let id = match self.admit(&request, key).await? {
            Admission::Repeat(id) => return self.submission(id).await,
            Admission::Create(id) => id,
        };
        submissions::create(&self.context, id, kind, &spec, terms).await?;
        self.submission(id).await
    }

    /// Checks a request and returns what it asks for.
    async fn read_request(&self, request: &SubmissionRequest) -> Result<Asked, RequestError> {
        let context = &self.context;
        Ok(match request {
            SubmissionRequest::Embed { dataset, images, deadline_seconds } => {
                let dataset = self.what(dataset.as_deref(), images)?;
                let spec = EmbedSpec { dataset, images: images.clone() };
                Asked::new(SubmissionKind::Embed, &spec, *deadline_seconds)
            }
            SubmissionRequest::Predict { run, dataset, images, deadline_seconds } => {
                let dataset = self.what(dataset.as_deref(), images)?;
                let run = runs::resolve(context, run).await?;
                let spec = PredictSpec { run, dataset, images: images.clone() };
                Asked::new(SubmissionKind::Predict, &spec, *deadline_seconds)
            }
            SubmissionRequest::Crawl(request) => {
                let out = new_dataset_url(context, &request.out)?;
                let spec =
                    CrawlSpec::read(CrawlRequest::clone(request), out, &context.settings.images.fetch_allow);
                Asked::new(
                    SubmissionKind::Crawl,
                    &spec.map_err(RequestError::Invalid)?,
                    request.deadline_seconds,
                )
            }
        })
    }

    /// Checks that a request is about either a dataset or images, and returns the dataset.
    fn what(&self, dataset: Option<&str>, images: &[UploadedImage]) -> Result<Option<Url>, RequestError> {
        if dataset.is_some() != images.is_empty() {
            return Err(RequestError::Invalid("give either a dataset or images".to_owned()));
        }
        if images.len() > MAX_IMAGES {
            let images = images.len();
            let detail = format!("{images} images are over the limit of {MAX_IMAGES}: submit a dataset");
            return Err(RequestError::Invalid(detail));
        }
        dataset.map(|dataset| dataset_url(&self.context, dataset)).transpose()
    }

    /// Stops a submission or run: nothing more is published, and what is queued is dropped as it is met.
    ///
    /// # Errors
    /// When there is none with this id, it has ended already, or the store does not serve.
    pub async fn cancel(&self, id: SubmissionId) -> Result<SubmissionView, RequestError> {
        let submission = self.find(id).await?;
        let keep = submission.kind == SubmissionKind::Train;
        if !self.context.store.close_submission(id, State::Cancelled, None, keep).await? {
            let state = self.find(id).await?.state;
            return Err(RequestError::Conflict(format!("{id} has ended already: it is {state}")));
        }
        self.submission(id).await
    }

    /// Returns a page of a submission's jobs, in order; the cursor counts jobs. Of a run, those in flight.
    ///
    /// # Errors
    /// When there is no such submission, the cursor is none, or the store does not serve.
    pub async fn jobs(&self, id: SubmissionId, cursor: Option<&str>) -> Result<Page<JobView>, RequestError> {
        let submission = self.find(id).await?;
        let first = part_cursor(cursor)?;
        let mut marks = self.context.store.job_marks(id).await?;
        let now_ms = self.context.store.now_ms().await?;
        let layout = layout(&submission);
        let view = |job: String, items: Option<u32>, unmarked: &str, mark: Option<JobStatus>| JobView {
            job,
            submission: id,
            kind: submission.kind,
            state: mark.as_ref().map_or(unmarked, |mark| mark.state.as_str()).to_owned(),
            items,
            generation: mark.as_ref().map_or(0, |mark| mark.generation),
            crashes: mark.as_ref().map_or(0, |mark| mark.crashes),
            paused: mark.as_ref().and_then(|mark| mark.paused.clone()),
            worker: mark.as_ref().and_then(|mark| mark.worker.clone()),
            history: mark.as_ref().map_or_else(Vec::new, |mark| mark.history.clone()),
            touched_seconds_ago: mark.map(|mark| now_ms.saturating_sub(mark.touched_ms) as f64 / 1e3),
        };
        let Some(layout) = layout else {
            let mut jobs: Vec<(String, JobStatus)> = marks.into_iter().collect();
            jobs.sort_by(|a, b| a.0.cmp(&b.0));
            let items = jobs.into_iter().map(|(name, mark)| view(name, None, "queued", Some(mark))).collect();
            return Ok(Page { items, next: None });
        };
        let last = submission.jobs.min(first.saturating_add(JOBS));
        let items = (first..last)
            .map(|job| {
                let unmarked = if job < submission.jobs_published { "queued" } else { "unpublished" };
                let mark = marks.remove(&job.to_string());
                view(job.to_string(), Some(layout.job_items(job)), unmarked, mark)
            })
            .collect();
        Ok(Page { items, next: (last < submission.jobs).then(|| last.to_string()) })
    }

    /// Returns a page of the embeddings of an embed submission's items, without those that failed; the
    /// cursor counts manifest parts.
    ///
    /// # Errors
    /// When there is no such submission, it has not ended, or store or manifest cannot be read.
    pub async fn embeddings(
        &self,
        id: SubmissionId,
        cursor: Option<&str>,
        space: Option<String>,
    ) -> Result<Page<EmbeddingView>, RequestError> {
        let submission = self.find(id).await?;
        let wanted = submission.kind == SubmissionKind::Embed && submission.state.is_terminal();
        let Some(layout) = layout(&submission).filter(|_| wanted) else {
            let detail = format!("{id} is no embed submission that has ended");
            return Err(RequestError::Conflict(detail));
        };
        let part = part_cursor(cursor)?;
        if part >= layout.jobs() {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let space = self.space(space).await?;
        let mut embedded = Vec::new();
        for (item, result) in self.part(id, &layout, part).await? {
            if let Some(ItemResult::Embedded { sha256, .. }) = result {
                embedded.push((item.item, sha256));
            }
        }
        let digests: Vec<Digest> = embedded.iter().map(|(_, sha256)| *sha256).collect();
        let found = self.context.store.embeddings(&space, &digests).await?;
        let mut items = Vec::with_capacity(embedded.len());
        for ((item, sha256), embedding) in embedded.into_iter().zip(found) {
            let lost = || {
                RequestError::NotFound(format!(
                    "'{item}' has no embedding in the space {space}: embed it again"
                ))
            };
            let embedding = embedding.ok_or_else(lost)?.to_f32().to_vec();
            items.push(EmbeddingView { item, sha256, embedding });
        }
        Ok(Page { items, next: (part + 1 < layout.jobs()).then(|| (part + 1).to_string()) })
    }

    /// Reads a part of a manifest, with the results of its items.
    async fn part(
        &self,
        id: SubmissionId,
        layout: &Layout,
        part: u32,
    ) -> Result<Vec<(ManifestItem, Option<ItemResult>)>, RequestError> {
        let manifest: Vec<ManifestItem> = parts::read_part(&layout.part(part)).await.map_err(|error| {
            tracing::error!(submission = %id, part, %error, "a manifest part cannot be read");
            RequestError::Unavailable("the submission's manifest cannot be read".to_owned())
        })?;
        let results = self.context.store.results(id, layout.first_item(part), manifest.len() as u64).await?;
        Ok(manifest.into_iter().zip(results).collect())
    }

    /// Returns a submission.
    ///
    /// # Errors
    /// When there is none with this id, or the store does not serve.
    pub async fn submission(&self, id: SubmissionId) -> Result<SubmissionView, RequestError> {
        let submission = self.find(id).await?;
        Ok(view(&submission, self.context.store.now_ms().await?))
    }

    /// Lists submissions (embed, predict and crawl), newest first.
    ///
    /// # Errors
    /// When the cursor is none, or the store does not serve.
    pub async fn submissions(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<SubmissionView>, RequestError> {
        let now_ms = self.context.store.now_ms().await?;
        let mut before = crate::server::service::parse_id_cursor(cursor)?;
        let mut items = Vec::new();
        loop {
            let page = self.context.store.submissions(before, limit).await?;
            let Some(last) = page.last() else { return Ok(Page { items, next: None }) };
            before = Some(last.id);
            for submission in page.iter().filter(|submission| submission.kind != SubmissionKind::Train) {
                items.push(view(submission, now_ms));
                if items.len() == limit {
                    return Ok(Page { items, next: Some(submission.id.to_string()) });
                }
            }
        }
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
        let mut part = part_cursor(cursor)?;
        let parts = if failed_only { FAILED_PARTS } else { (PAGE_ITEMS / layout.part_items).max(1) };
        let last = layout.parts().min(part.saturating_add(parts));
        let mut items = Vec::new();
        while part < last {
            let rows = self.part(id, &layout, part).await?.into_iter();
            let wanted =
                rows.filter(|(_, result)| !failed_only || result.as_ref().is_some_and(ItemResult::is_failed));
            items.extend(wanted.map(|(item, result)| item_view(item.item, result, target)));
            part += 1;
        }
        Ok(Page { items, next: (part < layout.parts()).then(|| part.to_string()) })
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

fn deadline(seconds: Option<u64>) -> Result<Option<Duration>, RequestError> {
    match seconds {
        Some(seconds) if !(1..=MAX_DEADLINE_SECONDS).contains(&seconds) => Err(RequestError::Invalid(
            format!("deadline_seconds is {seconds}: it must be between 1 and {MAX_DEADLINE_SECONDS}"),
        )),
        seconds => Ok(seconds.map(Duration::from_secs)),
    }
}

fn part_cursor(cursor: Option<&str>) -> Result<u32, RequestError> {
    let parse =
        |text: &str| text.parse().map_err(|_| RequestError::Invalid(format!("'{text}' is no cursor")));
    cursor.map_or(Ok(0), parse)
}

fn predict_run(submission: &Submission) -> Option<SubmissionId> {
    let spec: PredictSpec = serde_json::from_value(submission.spec.clone()).ok()?;
    (submission.kind == SubmissionKind::Predict).then_some(spec.run)
}

pub(super) fn view(submission: &Submission, now_ms: u64) -> SubmissionView {
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
        thumbnails: (submission.kind == SubmissionKind::Crawl).then_some(submission.thumbnails),
        paused: submission.paused.clone().filter(|pause| rests(submission.state, pause, now_ms)),
        elapsed_seconds,
        items_per_second: if elapsed_seconds > 0.0 { resolved / elapsed_seconds } else { 0.0 },
        error: submission.error.clone().filter(|_| submission.state == State::Failed),
        run: predict_run(submission).or(submission.parent),
    }
}

/// Whether what was put to rest still rests.
fn rests(state: State, pause: &Pause, now_ms: u64) -> bool {
    !state.is_terminal() && pause.until_ms > now_ms
}

fn item_view(item: String, result: Option<ItemResult>, target: Option<Target>) -> ItemView {
    let row = ItemView {
        item,
        state: "pending".to_owned(),
        sha256: None,
        prediction: None,
        target: None,
        crawled: None,
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
        Some(ItemResult::Crawled(crawled)) => {
            ItemView { state: "crawled".to_owned(), crawled: Some(crawled), ..row }
        }
        Some(ItemResult::Failed(failure)) => {
            ItemView { state: "failed".to_owned(), error: Some(failure.to_string()), ..row }
        }
    }
}
