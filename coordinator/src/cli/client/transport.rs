//! How requests travel: the token, the pages of a list, and what an answer that is not a success means.

use std::time::Duration;

use common::{config::ApiSettings, ids::SubmissionId};
use reqwest::{
    Method, RequestBuilder, StatusCode,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
    redirect::Policy,
};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;

use super::connection::Connection;
use crate::{
    api::{
        IDEMPOTENCY_KEY, Page, Paging, Problem,
        routes::{self, Route},
    },
    cli::exit::{CliError, Exit},
};

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

/// Sends requests to one coordinator.
pub(super) struct Transport {
    http: reqwest::Client,
    connection: Connection,
    /// Whether it sends a token.
    has_token: bool,
}

impl Transport {
    pub(super) fn new(settings: &ApiSettings) -> Result<Self, CliError> {
        let mut headers = HeaderMap::new();
        if let Some(token) = &settings.token {
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
        let connection = Connection::new(settings.url.clone());
        let http = connection.apply(http).build();
        let http = http.map_err(|error| CliError::failed(format!("no HTTP client: {error}")))?;
        Ok(Self { http, connection, has_token: settings.token.is_some() })
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, route: Route, names: &[&str]) -> Result<T, CliError> {
        self.send(self.request(route, names)).await
    }

    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        route: Route,
        id: SubmissionId,
        cursor: Option<&str>,
    ) -> Result<Page<T>, CliError> {
        self.send(self.request(route, &[&id.to_string()]).query(&Paging::at(cursor))).await
    }

    /// A request of a route, with `names` for the segments of its path that vary.
    pub(super) fn request(&self, route: Route, names: &[&str]) -> RequestBuilder {
        let method = match route.method {
            routes::Method::Get => Method::GET,
            routes::Method::Post => Method::POST,
            routes::Method::Delete => Method::DELETE,
        };
        let mut url = self.connection.base().clone();
        url.path_segments_mut().expect("an http URL has a path").clear().extend(route.segments(names));
        self.http.request(method, url)
    }

    pub(super) async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CliError> {
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

/// A request that is carried out once, however often it is sent under the same `key`.
pub(super) fn keyed(request: RequestBuilder, key: Option<&str>) -> RequestBuilder {
    match key {
        Some(key) => request.header(IDEMPOTENCY_KEY, key),
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
