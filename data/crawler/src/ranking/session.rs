//! A session with a browser, over the WebDriver protocol.
//!
//! Owns how long anything may take, and what is said of errors. Does not own which browser it is, nor what is on
//! the page.

use std::{error::Error, time::Duration};

use fantoccini::{
    Client, ClientBuilder,
    error::{CmdError, NewSessionError, WebDriver},
    wd::Capabilities,
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::Value;
use tokio::time::timeout;
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
pub(super) struct BrowserSession {
    browser: Client,
    driver: Url,
    limit: Duration,
}

impl BrowserSession {
    /// Opens a browser of these capabilities at the WebDriver `driver`, for pages that take at most `limit`.
    pub(super) async fn open(
        driver: &Url,
        capabilities: &Capabilities,
        limit: Duration,
    ) -> Result<Self, SessionError> {
        let (driver, limit) = (folder(driver), limit + SLACK);
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let opening = builder.capabilities(capabilities.clone()).connect(driver.as_str());
        let unreachable = |why| SessionError::Unreachable { url: driver.clone(), why };
        match timeout(limit, opening).await {
            Ok(Ok(browser)) => Ok(Self { browser, driver, limit }),
            Ok(Err(NewSessionError::SessionNotCreated(error))) => Err(SessionError::Refused(refusal(&error))),
            Ok(Err(NewSessionError::UnexpectedError(CmdError::Standard(error)))) => {
                Err(SessionError::Refused(refusal(&error)))
            }
            Ok(Err(error)) => Err(unreachable(cause_of(&error))),
            Err(_) => Err(unreachable(too_long())),
        }
    }

    /// Goes to a page, and returns when its document is there.
    pub(super) async fn navigate(&self, url: &Url) -> Result<(), SessionError> {
        self.within_limit(self.browser.goto(url.as_str())).await
    }

    /// Runs the body of a function on the page and returns what it does.
    pub(super) async fn run(&self, script: &str, arguments: Vec<Value>) -> Result<Value, SessionError> {
        self.within_limit(self.browser.execute(script, arguments)).await
    }

    /// Closes the browser, as far as that can be done.
    pub(super) async fn close(self) {
        // One that does not close is ended with its driver, or by whoever runs the driver.
        let _ = timeout(CLOSE_LIMIT, self.browser.close()).await;
    }

    async fn within_limit<T>(
        &self,
        work: impl Future<Output = Result<T, CmdError>>,
    ) -> Result<T, SessionError> {
        let unreachable = |why| SessionError::Unreachable { url: self.driver.clone(), why };
        match timeout(self.limit, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(CmdError::Standard(error))) => Err(SessionError::Refused(refusal(&error))),
            Ok(Err(error)) => Err(unreachable(cause_of(&error))),
            Err(_) => Err(unreachable(too_long())),
        }
    }
}

/// What a driver says, in one line and without its particulars in parentheses.
fn refusal(error: &WebDriver) -> String {
    let lines = error.message.lines().map(str::trim);
    let said: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with('(')).collect();
    if said.is_empty() { error.error.to_string() } else { said.join(" ") }
}

fn cause_of(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn too_long() -> String {
    "it took too long".to_owned()
}

/// The URL, as one that others lie below.
fn folder(url: &Url) -> Url {
    let mut url = url.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push("");
    }
    url
}

#[cfg(test)]
mod tests {
    use fantoccini::error::ErrorStatus;

    use super::*;

    #[test]
    fn a_refusal_is_said_in_one_line() {
        let check = |status, message: &str, want: &str| {
            assert_eq!(refusal(&WebDriver::new(status, message.to_owned())), want);
        };
        let refused = "unknown error: net::ERR_CONNECTION_REFUSED\n  (Session info: chrome=156.0)";
        check(ErrorStatus::UnknownError, refused, "unknown error: net::ERR_CONNECTION_REFUSED");
        let lines = "session not created\nfrom unknown error: cannot create temp dir\n  (Session info: x)";
        let all = "session not created from unknown error: cannot create temp dir";
        check(ErrorStatus::SessionNotCreated, lines, all);
        check(ErrorStatus::Timeout, "", "timeout");
    }

    #[test]
    fn a_driver_may_stand_below_a_path() {
        let check = |driver: &str, want: &str| {
            let url = folder(&Url::parse(driver).unwrap());
            assert_eq!(url.join("session").unwrap().as_str(), want);
        };
        check("http://127.0.0.1:9515", "http://127.0.0.1:9515/session");
        check("http://grid:4444/wd/hub/", "http://grid:4444/wd/hub/session");
        check("http://grid:4444/wd/hub", "http://grid:4444/wd/hub/session");
    }
}
