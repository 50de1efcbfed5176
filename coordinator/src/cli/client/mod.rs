//! The command line's side of the HTTP API.
//!
//! Owns requests and what an answer that is no success means; the only door to `reqwest` in this crate.

mod connection;

use std::time::Duration;

use common::{config::Settings, ids::SubmissionId};
use reqwest::{
    Method, RequestBuilder, StatusCode,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
    redirect::Policy,
};
use secrecy::ExposeSecret;
use serde::{Serialize, de::DeserializeOwned};

use self::connection::Connection;
use super::exit::{CliError, Exit};
use crate::api::{
    DeadFilter, DeadOutcome, DeadSelection, DeadView, DoctorView, EmbeddingView, FetchRequest, HeadView,
    ItemView, JobView, Page, PausedSourceView, Problem, RunRequest, RunView, SampleView, SimilarView,
    SpaceView, StatusView, StoredImage, SubmissionRequest, SubmissionView, TestedView, WorkersView,
    routes::{self, Route},
};

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

/// Entries of a list asked for at once.
const PAGE: usize = 100;

/// A client of one coordinator.
pub(super) struct Client {
    http: reqwest::Client,
    connection: Connection,
    /// Whether it sends a token.
    has_token: bool,
    /// Largest image that is uploaded.
    pub(super) max_image_bytes: u64,
}

impl Client {
    pub(super) fn new(settings: &Settings) -> Result<Self, CliError> {
        let mut headers = HeaderMap::new();
        if let Some(token) = &settings.api.token {
            let unusable = |_| {
                let what = "SUBWATCH_TOKEN holds what is no token: a line's end or another control character is in it";
                CliError::new(Exit::BadConfig, what)
            };
            let mut value =
                HeaderValue::from_str(&format!("Bearer {}", token.expose_secret())).map_err(unusable)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        // Another part of the program may have chosen a provider already; either will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The API redirects nobody, and a token must not follow whoever does.
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(Policy::none())
            .default_headers(headers);
        let connection = Connection::new(settings.api.url.clone());
        let http = connection
            .apply(http)
            .build()
            .map_err(|error| CliError::failed(format!("no HTTP client: {error}")))?;
        let has_token = settings.api.token.is_some();
        Ok(Self { http, connection, has_token, max_image_bytes: settings.images.max_image_bytes })
    }

    /// Submits; sent again under the same `key`, it is the same submission.
    pub(super) async fn submit(
        &self,
        request: &SubmissionRequest,
        key: Option<&str>,
    ) -> Result<SubmissionView, CliError> {
        self.send(keyed(self.request(routes::CREATE_SUBMISSION, &[]), key).json(request)).await
    }

    pub(super) async fn submission(&self, id: SubmissionId) -> Result<SubmissionView, CliError> {
        self.get(routes::SUBMISSION, &[&id.to_string()]).await
    }

    pub(super) async fn results(
        &self,
        id: SubmissionId,
        cursor: Option<&str>,
        failed_only: bool,
    ) -> Result<Page<ItemView>, CliError> {
        let request = self.request(routes::RESULTS, &[&id.to_string()]).query(&[("failed", failed_only)]);
        self.send(request.query(&[("cursor", cursor)])).await
    }

    pub(super) async fn embeddings(
        &self,
        id: SubmissionId,
        cursor: Option<&str>,
        space: Option<&str>,
    ) -> Result<Page<EmbeddingView>, CliError> {
        let mut query: Vec<(&str, &str)> = cursor.map(|cursor| ("cursor", cursor)).into_iter().collect();
        query.extend(space.map(|space| ("space", space)));
        self.send(self.request(routes::EMBEDDINGS, &[&id.to_string()]).query(&query)).await
    }

    pub(super) async fn jobs(&self, id: SubmissionId) -> Result<Vec<JobView>, CliError> {
        self.all(routes::JOBS, id).await
    }

    pub(super) async fn cancel(&self, id: SubmissionId) -> Result<SubmissionView, CliError> {
        self.send(self.request(routes::CANCEL, &[&id.to_string()])).await
    }

    /// Likewise, a run.
    pub(super) async fn submit_run(
        &self,
        request: &RunRequest,
        key: Option<&str>,
    ) -> Result<RunView, CliError> {
        self.send(keyed(self.request(routes::CREATE_RUN, &[]), key).json(request)).await
    }

    pub(super) async fn resume_run(&self, run: SubmissionId) -> Result<RunView, CliError> {
        self.send(self.request(routes::RESUME_RUN, &[&run.to_string()])).await
    }

    pub(super) async fn dead(
        &self,
        filter: &DeadFilter,
        cursor: Option<&str>,
    ) -> Result<Page<DeadView>, CliError> {
        let request = self.request(routes::LIST_DEAD, &[]).query(filter);
        self.send(request.query(&[("limit", PAGE)]).query(&[("cursor", cursor)])).await
    }

    pub(super) async fn dead_letter(&self, id: &str) -> Result<DeadView, CliError> {
        self.get(routes::DEAD_LETTER, &[id]).await
    }

    /// Requeues or purges dead letters, as `route` says.
    pub(super) async fn settle_dead(
        &self,
        route: Route,
        selection: &DeadSelection,
    ) -> Result<DeadOutcome, CliError> {
        self.send(self.request(route, &[]).json(selection)).await
    }

    pub(super) async fn run(&self, id: SubmissionId) -> Result<RunView, CliError> {
        self.get(routes::RUN, &[&id.to_string()]).await
    }

    /// Returns the newest `limit` runs.
    pub(super) async fn runs(&self, limit: usize) -> Result<Vec<RunView>, CliError> {
        let mut runs = Vec::new();
        let mut cursor: Option<String> = None;
        while runs.len() < limit {
            let page_size = (limit - runs.len()).min(PAGE);
            let request = self.request(routes::LIST_RUNS, &[]).query(&[("limit", page_size)]);
            let page: Page<RunView> = self.send(request.query(&[("cursor", cursor)])).await?;
            runs.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        Ok(runs)
    }

    /// Returns the run that `name` names: an id, `latest` or `best`.
    pub(super) async fn named_run(&self, name: &str) -> Result<RunView, CliError> {
        self.get(routes::RUN, &[name]).await
    }

    pub(super) async fn split(
        &self,
        run: SubmissionId,
        cursor: Option<&str>,
    ) -> Result<Page<SampleView>, CliError> {
        self.page(routes::SPLIT, run, cursor).await
    }

    pub(super) async fn predictions(
        &self,
        run: SubmissionId,
        cursor: Option<&str>,
    ) -> Result<Page<TestedView>, CliError> {
        self.page(routes::PREDICTIONS, run, cursor).await
    }

    pub(super) async fn head(&self, run: SubmissionId) -> Result<HeadView, CliError> {
        self.get(routes::HEAD, &[&run.to_string()]).await
    }

    /// Finds the `k` images nearest to the one whose `field` (`sha256` or `video_id`) is `value`.
    pub(super) async fn similar(
        &self,
        field: &str,
        value: &str,
        k: usize,
        space: Option<&str>,
    ) -> Result<SimilarView, CliError> {
        let k = k.to_string();
        let mut query = vec![(field, value), ("k", &k)];
        query.extend(space.map(|space| ("space", space)));
        self.send(self.request(routes::SIMILAR, &[]).query(&query)).await
    }

    /// Ends the pause of a host that crawls leave alone.
    pub(super) async fn resume_source(&self, host: &str) -> Result<PausedSourceView, CliError> {
        self.send(self.request(routes::RESUME_SOURCE, &[host])).await
    }

    pub(super) async fn workers(&self) -> Result<WorkersView, CliError> {
        self.get(routes::WORKERS, &[]).await
    }

    pub(super) async fn spaces(&self) -> Result<Vec<SpaceView>, CliError> {
        self.get(routes::LIST_SPACES, &[]).await
    }

    pub(super) async fn drop_space(&self, space: &str, force: bool) -> Result<SpaceView, CliError> {
        let request = self.request(routes::DROP_SPACE, &[space]);
        self.send(request.query(&[("force", force)])).await
    }

    pub(super) async fn doctor(&self) -> Result<DoctorView, CliError> {
        self.get(routes::DOCTOR, &[]).await
    }

    /// Has the coordinator fetch an image.
    pub(super) async fn fetch_image(&self, url: &str) -> Result<StoredImage, CliError> {
        let request = FetchRequest { url: url.to_owned() };
        self.send(self.request(routes::FETCH_IMAGE, &[]).json(&request)).await
    }

    pub(super) async fn upload(&self, bytes: Vec<u8>) -> Result<StoredImage, CliError> {
        self.send(self.request(routes::UPLOAD_IMAGE, &[]).body(bytes)).await
    }

    pub(super) async fn status(&self) -> Result<StatusView, CliError> {
        self.get(routes::STATUS, &[]).await
    }

    async fn get<T: DeserializeOwned>(&self, route: Route, names: &[&str]) -> Result<T, CliError> {
        self.send(self.request(route, names)).await
    }

    async fn page<T: DeserializeOwned>(
        &self,
        route: Route,
        id: SubmissionId,
        cursor: Option<&str>,
    ) -> Result<Page<T>, CliError> {
        self.send(self.request(route, &[&id.to_string()]).query(&[("cursor", cursor)])).await
    }

    async fn all<T: DeserializeOwned>(&self, route: Route, id: SubmissionId) -> Result<Vec<T>, CliError> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self.page(route, id, cursor.as_deref()).await?;
            all.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }

    /// A request of a route, with `names` for the segments of its path that vary.
    fn request(&self, route: Route, names: &[&str]) -> RequestBuilder {
        let method = match route.method {
            routes::Method::Get => Method::GET,
            routes::Method::Post => Method::POST,
            routes::Method::Delete => Method::DELETE,
        };
        let mut url = self.connection.base().clone();
        url.path_segments_mut().expect("an http URL has a path").clear().extend(route.segments(names));
        self.http.request(method, url)
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CliError> {
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| {
                CliError::failed(format!("{} answers in another form: {error}", self.connection.base()))
            });
        }
        if status == StatusCode::UNAUTHORIZED {
            return Err(self.no_access());
        }
        Err(refusal(status, &body))
    }

    fn no_access(&self) -> CliError {
        let (base, ask) = (self.connection.base(), "whoever runs it makes one with `subwatch token new`");
        let detail = if self.has_token {
            format!("the coordinator at {base} does not know the token of SUBWATCH_TOKEN: use another; {ask}")
        } else {
            format!(
                "the coordinator at {base} asks for an access token: set SUBWATCH_TOKEN or SUBWATCH_TOKEN_FILE; {ask}"
            )
        };
        CliError::new(Exit::NotAllowed, detail)
    }

    fn unreachable(&self, error: &reqwest::Error) -> CliError {
        CliError::failed(self.connection.failure(error))
    }
}

fn keyed(request: RequestBuilder, key: Option<&str>) -> RequestBuilder {
    match key {
        Some(key) => request.header("idempotency-key", key),
        None => request,
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> CliError {
    let problem: Option<Problem> = serde_json::from_slice(body).ok();
    let detail =
        problem.map_or_else(|| format!("the coordinator answers {status}"), |problem| problem.detail);
    let exit = match status {
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Exit::NotAllowed,
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => Exit::Usage,
        _ => Exit::Failed,
    };
    CliError::new(exit, detail)
}

/// Serialises a value the way the API does.
pub(super) fn to_json(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("a view is plain data")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_become_exit_codes() {
        let check = |status: StatusCode, body: &[u8], exit: Exit, message: &str| {
            let error = refusal(status, body);
            assert_eq!((error.exit, error.message.as_str()), (exit, message));
        };
        let problem = br#"{"type":"/problems/x","title":"X","status":403,"detail":"not there"}"#;
        check(StatusCode::FORBIDDEN, problem, Exit::NotAllowed, "not there");
        check(StatusCode::NOT_FOUND, problem, Exit::NotFound, "not there");
        check(StatusCode::UNPROCESSABLE_ENTITY, problem, Exit::Usage, "not there");
        check(StatusCode::BAD_GATEWAY, b"<html>", Exit::Failed, "the coordinator answers 502 Bad Gateway");
    }
}
