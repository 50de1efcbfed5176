//! Sends requests with the access token, and turns problem responses into errors with exit codes.

use std::time::Duration;

use common::{config::ApiSettings, ids::SubmissionId};
use reqwest::{
    Method, RequestBuilder, StatusCode,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
    redirect::Policy,
};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use url::Url;

use super::connection::Connection;
use crate::{
    api::{
        IDEMPOTENCY_KEY, Page, PageParams, Problem,
        routes::{self, Route},
    },
    cli::exit::{CliError, Exit},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

/// Sends requests to one coordinator.
pub(super) struct Transport {
    http: reqwest::Client,
    connection: Connection,
    has_token: bool,
}

impl Transport {
    pub(super) fn new(settings: &ApiSettings) -> Result<Self, CliError> {
        let mut headers = HeaderMap::new();
        if let Some(token) = &settings.token {
            let unusable = |_| {
                let message =
                    "SUBWATCH_TOKEN is not a token: it contains a line break or another control character";
                CliError::new(Exit::BadConfig, message)
            };
            let mut value =
                HeaderValue::from_str(&format!("Bearer {}", token.expose_secret())).map_err(unusable)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        // Fails if a provider is installed already, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The API never redirects, and the token must not be sent elsewhere.
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(Policy::none())
            .default_headers(headers);
        let connection = Connection::new(settings.url.clone());
        let http = connection.apply(http).build();
        let http =
            http.map_err(|error| CliError::failed(format!("cannot create an HTTP client: {error}")))?;
        Ok(Self { http, connection, has_token: settings.token.is_some() })
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        route: Route,
        parameters: &[&str],
    ) -> Result<T, CliError> {
        self.send(self.request(route, parameters)).await
    }

    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        route: Route,
        id: SubmissionId,
        cursor: Option<&str>,
    ) -> Result<Page<T>, CliError> {
        self.send(self.request(route, &[&id.to_string()]).query(&PageParams::at(cursor))).await
    }

    /// Builds a request of a route; `parameters` replace those of its path.
    pub(super) fn request(&self, route: Route, parameters: &[&str]) -> RequestBuilder {
        let method = match route.method {
            routes::Method::Get => Method::GET,
            routes::Method::Post => Method::POST,
            routes::Method::Delete => Method::DELETE,
        };
        self.http.request(method, url_of(self.connection.base(), route, parameters))
    }

    pub(super) async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CliError> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| {
                CliError::failed(format!("unexpected response from {}: {error}", self.connection.base()))
            });
        }
        if status == StatusCode::UNAUTHORIZED {
            return Err(self.unauthorized());
        }
        let base = self.connection.base();
        if status == StatusCode::NOT_FOUND && is_unknown_path(&body) {
            let detail = format!("no coordinator answers at {base}: check the path of SUBWATCH_URL");
            return Err(CliError::failed(detail));
        }
        Err(problem_error(status, &body))
    }

    fn unauthorized(&self) -> CliError {
        let (base, hint) = (
            self.connection.base(),
            "create one with `subwatch token new` and add its line to the coordinator's token file",
        );
        let detail = if self.has_token {
            format!(
                "the coordinator at {base} does not accept the token in SUBWATCH_TOKEN: use another, or {hint}"
            )
        } else {
            format!(
                "the coordinator at {base} requires an access token: set SUBWATCH_TOKEN or SUBWATCH_TOKEN_FILE, or {hint}"
            )
        };
        CliError::new(Exit::NotAllowed, detail)
    }

    fn unreachable(&self, error: &reqwest::Error) -> CliError {
        CliError::failed(self.connection.failure(error))
    }
}

/// Adds an idempotency key, with which a repeated request has no further effect.
pub(super) fn keyed(request: RequestBuilder, key: Option<&str>) -> RequestBuilder {
    match key {
        Some(key) => request.header(IDEMPOTENCY_KEY, key),
        None => request,
    }
}

/// Returns the URL of a route below the path of `base`, which a reverse proxy may need. Its query and fragment are
/// ignored.
fn url_of(base: &Url, route: Route, parameters: &[&str]) -> Url {
    let mut url = base.clone();
    url.path_segments_mut()
        .expect("an http URL has a path")
        .pop_if_empty()
        .extend(route.segments(parameters));
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// Whether a response says that a path does not exist, rather than what the path names.
fn is_unknown_path(body: &[u8]) -> bool {
    let problem: Option<Problem> = serde_json::from_slice(body).ok();
    problem.is_none_or(|problem| problem.detail.starts_with("no such path"))
}

fn problem_error(status: StatusCode, body: &[u8]) -> CliError {
    let problem: Option<Problem> = serde_json::from_slice(body).ok();
    let detail =
        problem.map_or_else(|| format!("the coordinator responded with {status}"), |problem| problem.detail);
    let exit = match status {
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Exit::NotAllowed,
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => Exit::Usage,
        _ => Exit::Failed,
    };
    CliError::new(exit, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_appended_to_the_base_url_without_its_query() {
        for (base, path) in [
            ("http://h:1", "/v1/runs/a%2Fb"),
            ("http://h:1/", "/v1/runs/a%2Fb"),
            ("http://h:1/?limit=5#x", "/v1/runs/a%2Fb"),
            ("http://h:1/subwatch", "/subwatch/v1/runs/a%2Fb"),
            ("http://h:1/team/subwatch/?limit=5", "/team/subwatch/v1/runs/a%2Fb"),
        ] {
            let url = url_of(&Url::parse(base).unwrap(), routes::RUN, &["a/b"]);
            assert_eq!(url.path(), path, "{base}");
            assert_eq!(url.query(), None, "{base}");
        }
    }

    #[test]
    fn problems_become_exit_codes() {
        let check = |status: StatusCode, body: &[u8], exit: Exit, message: &str| {
            let error = problem_error(status, body);
            assert_eq!((error.exit, error.message.as_str()), (exit, message));
        };
        let problem = br#"{"type":"/problems/x","title":"X","status":403,"detail":"not there"}"#;
        check(StatusCode::FORBIDDEN, problem, Exit::NotAllowed, "not there");
        check(StatusCode::NOT_FOUND, problem, Exit::NotFound, "not there");
        check(StatusCode::UNPROCESSABLE_ENTITY, problem, Exit::Usage, "not there");
        check(
            StatusCode::BAD_GATEWAY,
            b"<html>",
            Exit::Failed,
            "the coordinator responded with 502 Bad Gateway",
        );
    }
}
