//! A session with a browser, over the WebDriver protocol (W3C Recommendation, 2018).
//!
//! Owns the five requests that reading a page takes. Does not own which browser it is, nor what is on the page.
//! The crates for this protocol would bring in a copyleft licence (`fantoccini`) or change how the whole program
//! orders JSON (`thirtyfour`), which is much for five requests.

use std::{error::Error, time::Duration};

use reqwest::{Client, Method, redirect::Policy};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

/// How long a browser may take beyond what a page may.
const SLACK: Duration = Duration::from_secs(30);
/// How long the end of a session may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Why a browser does not do what it is asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    /// Nobody who speaks the protocol is there.
    #[error("no WebDriver answers at {url}: {why}")]
    Unreachable { url: Url, why: String },
    /// It says why.
    #[error("{0}")]
    Refused(String),
}

/// A browser's window.
pub(super) struct Session {
    http: Client,
    url: Url,
}

/// The answer to any request.
#[derive(Deserialize)]
struct Answer {
    value: Value,
}

impl Session {
    /// Opens a browser of these capabilities at the WebDriver `driver`, for pages that take at most `limit`.
    pub(super) async fn open(
        driver: &Url,
        capabilities: &Value,
        limit: Duration,
    ) -> Result<Self, SessionError> {
        let http = Client::builder().no_proxy().redirect(Policy::none()).timeout(limit + SLACK).build();
        let http =
            http.map_err(|error| SessionError::Unreachable { url: driver.clone(), why: error.to_string() })?;
        let mut this = Self { http, url: below(driver, &["session"]) };
        let asked = json!({"capabilities": {"alwaysMatch": capabilities}});
        let opened = this.ask(Method::POST, &[], Some(asked)).await?;
        let id = opened["sessionId"].as_str().unwrap_or_default();
        if id.is_empty() {
            let why = "it opens a session without an id".to_owned();
            return Err(SessionError::Unreachable { url: driver.clone(), why });
        }
        this.url = below(&this.url, &[id]);
        Ok(this)
    }

    /// Goes to a page, and returns when its document is there.
    pub(super) async fn navigate(&self, url: &Url) -> Result<(), SessionError> {
        self.ask(Method::POST, &["url"], Some(json!({"url": url}))).await.map(drop)
    }

    /// Runs the body of a function on the page and returns what it does.
    pub(super) async fn run(&self, script: &str, arguments: &Value) -> Result<Value, SessionError> {
        let asked = json!({"script": script, "args": arguments});
        self.ask(Method::POST, &["execute", "sync"], Some(asked)).await
    }

    /// Closes the browser, as far as that can be done.
    pub(super) async fn close(&self) {
        // One that does not close is ended with its driver, or by whoever runs the driver.
        let _ = tokio::time::timeout(CLOSE_LIMIT, self.ask(Method::DELETE, &[], None)).await;
    }

    async fn ask(&self, method: Method, path: &[&str], body: Option<Value>) -> Result<Value, SessionError> {
        let url = below(&self.url, path);
        let mut request = self.http.request(method, url.clone());
        if let Some(body) = &body {
            request = request.json(body);
        }
        let unreachable =
            |error: &reqwest::Error| SessionError::Unreachable { url: url.clone(), why: cause_of(error) };
        let answer = request.send().await.map_err(|error| unreachable(&error))?;
        let is_success = answer.status().is_success();
        let Answer { value } = answer.json().await.map_err(|error| unreachable(&error))?;
        if is_success { Ok(value) } else { Err(SessionError::Refused(refusal(&value))) }
    }
}

/// What an error says, without its particulars in parentheses.
fn refusal(value: &Value) -> String {
    let said = ["message", "error"].iter().filter_map(|name| value[*name].as_str());
    let mut said = said.map(|text| {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('('));
        lines.collect::<Vec<_>>().join(" ")
    });
    said.find(|text| !text.is_empty()).unwrap_or_else(|| "it does not say why".to_owned())
}

fn cause_of(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if error.is_timeout() { "it took too long".to_owned() } else { cause.to_string() }
}

fn below(url: &Url, path: &[&str]) -> Url {
    let mut url = url.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_said_in_one_line() {
        let value = json!({
            "error": "unknown error",
            "message": "unknown error: net::ERR_CONNECTION_REFUSED\n  (Session info: chrome=156.0)",
            "stacktrace": "#0 0x558f489fdaae <unknown>\n"
        });
        assert_eq!(refusal(&value), "unknown error: net::ERR_CONNECTION_REFUSED");
        let message = "session not created\nfrom unknown error: cannot create temp dir\n  (Session info: x)";
        let all = "session not created from unknown error: cannot create temp dir";
        assert_eq!(refusal(&json!({"error": "session not created", "message": message})), all);
        assert_eq!(refusal(&json!({"error": "timeout", "message": ""})), "timeout");
        assert_eq!(refusal(&json!(null)), "it does not say why");
    }

    #[test]
    fn a_driver_may_stand_below_a_path() {
        let check = |driver: &str, want: &str| {
            assert_eq!(below(&Url::parse(driver).unwrap(), &["session"]).as_str(), want);
        };
        check("http://127.0.0.1:9515", "http://127.0.0.1:9515/session");
        check("http://grid:4444/wd/hub/", "http://grid:4444/wd/hub/session");
    }
}
