//! The command line's side of the HTTP API.
//!
//! Owns the calls, each with the types that it sends and gets. Does not own how a request travels and what an answer
//! that is not a success means (`transport`), nor the way to the coordinator (`connection`), nor going through the
//! pages of a list (`pages`). With its children, the only door to `reqwest` in this crate.

mod connection;
mod pages;
mod transport;

use common::{config::Settings, ids::SubmissionId};

pub(super) use self::pages::Pages;
use self::transport::{Transport, keyed};
use super::exit::CliError;
use crate::api::{
    DeadFilter, DeadOutcome, DeadParams, DeadSelection, DeadView, DoctorView, DropParams, EmbeddingView,
    EmbeddingsParams, FetchRequest, HeadView, ItemView, JobView, Page, Paging, PausedSourceView,
    ResultsParams, RunRequest, RunView, SampleView, SimilarParams, SimilarView, SpaceView, StatusView,
    StoredImage, SubmissionRequest, SubmissionView, TestedView, WorkersView,
    routes::{self, Route},
};

/// A client of one coordinator.
pub(super) struct Client {
    api: Transport,
    /// Largest image that is uploaded.
    pub(super) max_image_bytes: u64,
}

impl Client {
    pub(super) fn new(settings: &Settings) -> Result<Self, CliError> {
        let api = Transport::new(&settings.api)?;
        Ok(Self { api, max_image_bytes: settings.images.max_image_bytes })
    }

    /// Submits; sent again under the same `key`, it is the same submission.
    pub(super) async fn submit(
        &self,
        request: &SubmissionRequest,
        key: Option<&str>,
    ) -> Result<SubmissionView, CliError> {
        self.api.send(keyed(self.api.request(routes::CREATE_SUBMISSION, &[]), key).json(request)).await
    }

    pub(super) async fn submission(&self, id: SubmissionId) -> Result<SubmissionView, CliError> {
        self.api.get(routes::SUBMISSION, &[&id.to_string()]).await
    }

    pub(super) async fn results(
        &self,
        id: SubmissionId,
        cursor: Option<&str>,
        failed_only: bool,
    ) -> Result<Page<ItemView>, CliError> {
        let params = ResultsParams { cursor: cursor.map(str::to_owned), failed: failed_only };
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

    pub(super) async fn cancel(&self, id: SubmissionId) -> Result<SubmissionView, CliError> {
        self.api.send(self.api.request(routes::CANCEL, &[&id.to_string()])).await
    }

    /// Likewise, a run.
    pub(super) async fn submit_run(
        &self,
        request: &RunRequest,
        key: Option<&str>,
    ) -> Result<RunView, CliError> {
        self.api.send(keyed(self.api.request(routes::CREATE_RUN, &[]), key).json(request)).await
    }

    pub(super) async fn resume_run(&self, run: SubmissionId) -> Result<RunView, CliError> {
        self.api.send(self.api.request(routes::RESUME_RUN, &[&run.to_string()])).await
    }

    pub(super) async fn dead(
        &self,
        filter: &DeadFilter,
        cursor: Option<&str>,
    ) -> Result<Page<DeadView>, CliError> {
        let paging = Paging { limit: Some(Paging::MOST), ..Paging::at(cursor) };
        let params = DeadParams::new(filter.clone(), paging);
        self.api.send(self.api.request(routes::LIST_DEAD, &[]).query(&params)).await
    }

    pub(super) async fn dead_letter(&self, id: &str) -> Result<DeadView, CliError> {
        self.api.get(routes::DEAD_LETTER, &[id]).await
    }

    /// Requeues or purges dead letters, as `route` says.
    pub(super) async fn settle_dead(
        &self,
        route: Route,
        selection: &DeadSelection,
    ) -> Result<DeadOutcome, CliError> {
        self.api.send(self.api.request(route, &[]).json(selection)).await
    }

    pub(super) async fn run(&self, id: SubmissionId) -> Result<RunView, CliError> {
        self.api.get(routes::RUN, &[&id.to_string()]).await
    }

    /// Returns the newest `limit` runs.
    pub(super) async fn runs(&self, limit: usize) -> Result<Vec<RunView>, CliError> {
        let mut pages = Pages::new(async |cursor: Option<String>| {
            let paging = Paging { cursor, limit: Some(limit.min(Paging::MOST)) };
            self.api.send(self.api.request(routes::LIST_RUNS, &[]).query(&paging)).await
        });
        let mut runs = Vec::new();
        while runs.len() < limit
            && let Some(page) = pages.next().await?
        {
            runs.extend(page);
        }
        runs.truncate(limit);
        Ok(runs)
    }

    /// Returns the run that `name` names: an id, `latest` or `best`.
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
    ) -> Result<Page<TestedView>, CliError> {
        self.api.page(routes::PREDICTIONS, run, cursor).await
    }

    pub(super) async fn head(&self, run: SubmissionId) -> Result<HeadView, CliError> {
        self.api.get(routes::HEAD, &[&run.to_string()]).await
    }

    /// Finds the images nearest to one.
    pub(super) async fn similar(&self, params: &SimilarParams) -> Result<SimilarView, CliError> {
        self.api.send(self.api.request(routes::SIMILAR, &[]).query(params)).await
    }

    /// Ends the pause of a host that crawls leave alone.
    pub(super) async fn resume_source(&self, host: &str) -> Result<PausedSourceView, CliError> {
        self.api.send(self.api.request(routes::RESUME_SOURCE, &[host])).await
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

    pub(super) async fn doctor(&self) -> Result<DoctorView, CliError> {
        self.api.get(routes::DOCTOR, &[]).await
    }

    /// Has the coordinator fetch an image.
    pub(super) async fn fetch_image(&self, url: &str) -> Result<StoredImage, CliError> {
        let request = FetchRequest { url: url.to_owned() };
        self.api.send(self.api.request(routes::FETCH_IMAGE, &[]).json(&request)).await
    }

    pub(super) async fn upload(&self, bytes: Vec<u8>) -> Result<StoredImage, CliError> {
        self.api.send(self.api.request(routes::UPLOAD_IMAGE, &[]).body(bytes)).await
    }

    pub(super) async fn status(&self) -> Result<StatusView, CliError> {
        self.api.get(routes::STATUS, &[]).await
    }
}
