//! The client of the HTTP API: one method per call.
//!
//! `transport` sends requests and turns problem responses into errors; `connection` chooses a proxy and explains failed
//! connections; `pages` walks paged lists. Only this module uses `reqwest`.

mod connection;
mod pages;
mod transport;

use std::fmt::Display;

use common::{config::Settings, ids::SubmissionId};
use dataset::target::Target;

pub(super) use self::pages::Pages;
use self::transport::{Transport, keyed};
use super::exit::CliError;
use crate::api::{
    AddEmbeddings, AddedEmbeddings, DeadLetterFilter, DeadLetterOutcome, DeadLetterParams,
    DeadLetterSelection, DeadLetterView, DeleteParams, DeletedSubmissions, DoctorView, DropParams,
    DroppedUploads, EmbeddingView, EmbeddingsParams, FetchRequest, HeadView, HostBackoffView, ItemView,
    JobView, Page, PageParams, Paging, RawEmbedding, ResultsParams, RunParams, RunRequest, RunView,
    SampleView, SimilarParams, SimilarView, SpaceView, StatusView, StoredImage, SubmissionRequest,
    SubmissionView, TestPredictionView, WorkersView,
    routes::{self, Route},
};

pub(super) struct Client {
    api: Transport,
    /// Limit for uploaded images.
    pub(super) max_image_bytes: u64,
}

impl Client {
    pub(super) fn new(settings: &Settings) -> Result<Self, CliError> {
        let api = Transport::new(&settings.api)?;
        Ok(Self { api, max_image_bytes: settings.images.max_image_bytes })
    }

    /// Creates a submission, or returns the first one that was created with the idempotency key `key`.
    pub(super) async fn submit(
        &self,
        request: &SubmissionRequest,
        key: Option<&str>,
    ) -> Result<SubmissionView, CliError> {
        self.api.send(keyed(self.api.request(routes::CREATE_SUBMISSION, &[]), key).json(request)).await
    }

    /// Returns a submission or run by its ID, the start of its ID, or `latest`.
    pub(super) async fn submission(&self, id: impl Display) -> Result<SubmissionView, CliError> {
        self.api.get(routes::SUBMISSION, &[&id.to_string()]).await
    }

    pub(super) async fn results(
        &self,
        id: SubmissionId,
        cursor: Option<&str>,
        failed_only: bool,
    ) -> Result<Page<ItemView>, CliError> {
        let params = ResultsParams {
            cursor: cursor.map(str::to_owned),
            failed: failed_only,
            limit: Some(ResultsParams::MAX_LIMIT),
        };
        self.api.send(self.api.request(routes::RESULTS, &[&id.to_string()]).query(&params)).await
    }

    pub(super) async fn embeddings(
        &self,
        id: SubmissionId,
        cursor: Option<&str>,
        space: Option<&str>,
    ) -> Result<Page<EmbeddingView>, CliError> {
        let params = EmbeddingsParams { cursor: cursor.map(str::to_owned), space: space.map(str::to_owned) };
        self.api.send(self.api.request(routes::EMBEDDINGS, &[&id.to_string()]).query(&params)).await
    }

    pub(super) async fn jobs(&self, id: SubmissionId) -> Result<Vec<JobView>, CliError> {
        Pages::new(async |cursor: Option<String>| self.api.page(routes::JOBS, id, cursor.as_deref()).await)
            .all()
            .await
    }

    pub(super) async fn cancel(&self, id: impl Display) -> Result<SubmissionView, CliError> {
        self.api.send(self.api.request(routes::CANCEL, &[&id.to_string()])).await
    }

    pub(super) async fn delete(&self, id: impl Display) -> Result<DeletedSubmissions, CliError> {
        self.api.send(self.api.request(routes::DELETE_SUBMISSION, &[&id.to_string()])).await
    }

    /// Deletes the ended submissions and runs of a token on a page of all.
    pub(super) async fn delete_all_of(
        &self,
        token: &str,
        cursor: Option<String>,
    ) -> Result<DeletedSubmissions, CliError> {
        let params = DeleteParams { submitted_by: token.to_owned(), cursor };
        self.api.send(self.api.request(routes::DELETE_ALL_OF, &[]).query(&params)).await
    }

    /// Creates a run, or returns the first one that was created with the idempotency key `key`.
    pub(super) async fn submit_run(
        &self,
        request: &RunRequest,
        key: Option<&str>,
    ) -> Result<RunView, CliError> {
        self.api.send(keyed(self.api.request(routes::CREATE_RUN, &[]), key).json(request)).await
    }

    pub(super) async fn resume_run(&self, run: impl Display) -> Result<RunView, CliError> {
        self.api.send(self.api.request(routes::RESUME_RUN, &[&run.to_string()])).await
    }

    pub(super) async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        cursor: Option<&str>,
    ) -> Result<Page<DeadLetterView>, CliError> {
        let paging = Paging { cursor: cursor.map(str::to_owned), limit: Some(Paging::MAX_LIMIT) };
        let params = DeadLetterParams::new(filter.clone(), paging);
        self.api.send(self.api.request(routes::LIST_DEAD_LETTERS, &[]).query(&params)).await
    }

    pub(super) async fn dead_letter(&self, id: &str) -> Result<DeadLetterView, CliError> {
        self.api.get(routes::DEAD_LETTER, &[id]).await
    }

    /// Requeues or purges dead letters, depending on `route`.
    pub(super) async fn process_dead_letters(
        &self,
        route: Route,
        selection: &DeadLetterSelection,
    ) -> Result<DeadLetterOutcome, CliError> {
        self.api.send(self.api.request(route, &[]).json(selection)).await
    }

    pub(super) async fn run(&self, id: SubmissionId) -> Result<RunView, CliError> {
        self.api.get(routes::RUN, &[&id.to_string()]).await
    }

    /// Returns the newest `limit` runs that `wanted` accepts.
    pub(super) async fn runs(
        &self,
        limit: usize,
        wanted: impl Fn(&RunView) -> bool,
    ) -> Result<Vec<RunView>, CliError> {
        let mut pages = Pages::new(async |cursor: Option<String>| {
            let paging = Paging { cursor, limit: Some(Paging::MAX_LIMIT) };
            self.api.send(self.api.request(routes::LIST_RUNS, &[]).query(&paging)).await
        });
        let mut runs = Vec::new();
        while runs.len() < limit
            && let Some(page) = pages.next().await?
        {
            runs.extend(page.into_iter().filter(&wanted));
        }
        runs.truncate(limit);
        Ok(runs)
    }

    /// Returns a run by its ID, the start of its ID, or the run `latest` or `best` of a target.
    pub(super) async fn run_of_target(&self, name: &str, target: Target) -> Result<RunView, CliError> {
        let params = RunParams { target: Some(target) };
        self.api.send(self.api.request(routes::RUN, &[name]).query(&params)).await
    }

    /// Returns a run by its ID, the start of its ID, or the run `latest` or `best`.
    pub(super) async fn named_run(&self, name: &str) -> Result<RunView, CliError> {
        self.api.get(routes::RUN, &[name]).await
    }

    pub(super) async fn split(
        &self,
        run: SubmissionId,
        cursor: Option<&str>,
    ) -> Result<Page<SampleView>, CliError> {
        self.api.page(routes::SPLIT, run, cursor).await
    }

    pub(super) async fn predictions(
        &self,
        run: SubmissionId,
        cursor: Option<&str>,
    ) -> Result<Page<TestPredictionView>, CliError> {
        self.api.page(routes::PREDICTIONS, run, cursor).await
    }

    pub(super) async fn head(&self, run: SubmissionId) -> Result<HeadView, CliError> {
        self.api.get(routes::HEAD, &[&run.to_string()]).await
    }

    pub(super) async fn similar(&self, params: &SimilarParams) -> Result<SimilarView, CliError> {
        self.api.send(self.api.request(routes::SIMILAR, &[]).query(params)).await
    }

    pub(super) async fn end_backoff(&self, host: &str) -> Result<HostBackoffView, CliError> {
        self.api.send(self.api.request(routes::END_HOST_BACKOFF, &[host])).await
    }

    pub(super) async fn workers(&self) -> Result<WorkersView, CliError> {
        self.api.get(routes::WORKERS, &[]).await
    }

    pub(super) async fn spaces(&self) -> Result<Vec<SpaceView>, CliError> {
        self.api.get(routes::LIST_SPACES, &[]).await
    }

    pub(super) async fn drop_space(&self, space: &str, force: bool) -> Result<SpaceView, CliError> {
        let request = self.api.request(routes::DROP_SPACE, &[space]);
        self.api.send(request.query(&DropParams { force })).await
    }

    pub(super) async fn space_embeddings(
        &self,
        space: &str,
        cursor: Option<&str>,
    ) -> Result<Page<RawEmbedding>, CliError> {
        let request = self.api.request(routes::SPACE_EMBEDDINGS, &[space]);
        self.api.send(request.query(&PageParams::at(cursor))).await
    }

    pub(super) async fn add_embeddings(
        &self,
        space: &str,
        embeddings: Vec<RawEmbedding>,
    ) -> Result<AddedEmbeddings, CliError> {
        let request = self.api.request(routes::ADD_EMBEDDINGS, &[space]);
        self.api.send(request.json(&AddEmbeddings { embeddings })).await
    }

    pub(super) async fn doctor(&self) -> Result<DoctorView, CliError> {
        self.api.get(routes::DOCTOR, &[]).await
    }

    /// Makes the coordinator download an image.
    pub(super) async fn fetch_image(&self, url: &str) -> Result<StoredImage, CliError> {
        let request = FetchRequest { url: url.to_owned() };
        self.api.send(self.api.request(routes::FETCH_IMAGE, &[]).json(&request)).await
    }

    pub(super) async fn upload(&self, bytes: Vec<u8>) -> Result<StoredImage, CliError> {
        self.api.send(self.api.request(routes::UPLOAD_IMAGE, &[]).body(bytes)).await
    }

    pub(super) async fn drop_uploads(&self) -> Result<DroppedUploads, CliError> {
        self.api.send(self.api.request(routes::DROP_UPLOADS, &[])).await
    }

    pub(super) async fn status(&self) -> Result<StatusView, CliError> {
        self.api.get(routes::STATUS, &[]).await
    }
}
