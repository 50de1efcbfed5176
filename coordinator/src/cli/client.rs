//! The command line's side of the HTTP API.
//!
//! Owns requests and what an answer that is no success means; the only door to `reqwest` in this crate.

use std::time::Duration;

use common::ids::SubmissionId;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use super::exit::{CliError, Exit};
use crate::api::{
    ItemView, Page, Problem, RunRequest, RunView, StatusView, StoredImage, SubmissionRequest, SubmissionView,
};

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

/// A client of one coordinator.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    /// Largest image that is uploaded.
    pub(super) max_image_bytes: u64,
}

impl Client {
    pub(super) fn new(base: &Url, max_image_bytes: u64) -> Result<Self, CliError> {
        // Another part of the program may have chosen a provider already; either will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http =
            reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(REQUEST_TIMEOUT).build();
        let http = http.map_err(|error| CliError::failed(format!("no HTTP client: {error}")))?;
        Ok(Self { http, base: base.clone(), max_image_bytes })
    }

    pub(super) async fn submit(&self, request: &SubmissionRequest) -> Result<SubmissionView, CliError> {
        self.send(self.request(Method::POST, "/v1/submissions").json(request)).await
    }

    pub(super) async fn submission(&self, id: SubmissionId) -> Result<SubmissionView, CliError> {
        self.get(&format!("/v1/submissions/{id}")).await
    }

    pub(super) async fn results(
        &self,
        id: SubmissionId,
        cursor: Option<&str>,
        failed_only: bool,
    ) -> Result<Page<ItemView>, CliError> {
        let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        self.get(&format!("/v1/submissions/{id}/results?failed={failed_only}{cursor}")).await
    }

    pub(super) async fn submit_run(&self, request: &RunRequest) -> Result<RunView, CliError> {
        self.send(self.request(Method::POST, "/v1/runs").json(request)).await
    }

    pub(super) async fn run(&self, id: SubmissionId) -> Result<RunView, CliError> {
        self.get(&format!("/v1/runs/{id}")).await
    }

    pub(super) async fn upload(&self, bytes: Vec<u8>) -> Result<StoredImage, CliError> {
        self.send(self.request(Method::POST, "/v1/images").body(bytes)).await
    }

    pub(super) async fn status(&self) -> Result<StatusView, CliError> {
        self.get("/v1/status").await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.send(self.request(Method::GET, path)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = self.base.join(path).expect("the paths here are relative URLs");
        self.http.request(method, url)
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CliError> {
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| {
                CliError::failed(format!("{} answers in another form: {error}", self.base))
            });
        }
        Err(refusal(status, &body))
    }

    fn unreachable(&self, error: &reqwest::Error) -> CliError {
        let what = if error.is_timeout() { "does not answer in time" } else { "cannot be reached" };
        CliError::failed(format!(
            "the coordinator at {} {what}: is it running? start it with `make up` or `subwatch serve`, or name \
             another with --url or SUBWATCH_URL",
            self.base
        ))
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
