//! A WebDriver session with a browser.
//!
//! Owns timeouts and error messages. Does not own the choice of the browser and the contents of pages.

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

/// Time allowed to the browser on top of the page's limit.
const DRIVER_OVERHEAD: Duration = Duration::from_secs(30);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a WebDriver command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error("the WebDriver at {url} is unreachable: {why}")]
    Unreachable { url: Url, why: String },
    /// The driver's message.
    #[error("{0}")]
    Refused(String),
}

pub(super) struct BrowserSession {
    browser: Client,
    driver: Url,
    limit: Duration,
}

impl BrowserSession {
    /// Opens a browser at the WebDriver `driver`, for pages that take at most `page_timeout`.
    pub(super) async fn open(
        driver: &Url,
        capabilities: &Capabilities,
        page_timeout: Duration,
    ) -> Result<Self, SessionError> {
        let (driver, limit) = (as_directory(driver), page_timeout + DRIVER_OVERHEAD);
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let opening = builder.capabilities(capabilities.clone()).connect(driver.as_str());
        let unreachable = |why| SessionError::Unreachable { url: driver.clone(), why };
        match timeout(limit, opening).await {
            Ok(Ok(browser)) => Ok(Self { browser, driver, limit }),
            Ok(Err(
                NewSessionError::SessionNotCreated(error)
                | NewSessionError::UnexpectedError(CmdError::Standard(error)),
            )) => Err(SessionError::Refused(driver_message(&error))),
            Ok(Err(error)) => Err(unreachable(cause_of(&error))),
            Err(_) => Err(unreachable(timed_out())),
        }
    }

    /// Goes to a page, and returns when its document has loaded.
    pub(super) async fn navigate(&self, url: &Url) -> Result<(), SessionError> {
        self.with_timeout(self.browser.goto(url.as_str())).await
    }

    /// Runs a function body in the page and returns its result.
    pub(super) async fn run(&self, script: &str, arguments: Vec<Value>) -> Result<Value, SessionError> {
        self.with_timeout(self.browser.execute(script, arguments)).await
    }

    /// Closes the browser. Errors are ignored: our own driver kills the browser when it stops.
    pub(super) async fn close(self) {
        let _ = timeout(CLOSE_TIMEOUT, self.browser.close()).await;
    }

    async fn with_timeout<T>(
        &self,
        work: impl Future<Output = Result<T, CmdError>>,
    ) -> Result<T, SessionError> {
        let unreachable = |why| SessionError::Unreachable { url: self.driver.clone(), why };
        match timeout(self.limit, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(CmdError::Standard(error))) => Err(SessionError::Refused(driver_message(&error))),
            Ok(Err(error)) => Err(unreachable(cause_of(&error))),
            Err(_) => Err(unreachable(timed_out())),
        }
    }
}

/// A driver's message as one line, without its details in parentheses.
fn driver_message(error: &WebDriver) -> String {
    let lines = error.message.lines().map(str::trim);
    let message: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with('(')).collect();
    if message.is_empty() { error.error.to_string() } else { message.join(" ") }
}

fn cause_of(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn timed_out() -> String {
    "timed out".to_owned()
}

/// Appends `/` to the path, so that relative URLs are joined below it.
fn as_directory(url: &Url) -> Url {
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
    fn driver_message_is_one_line() {
        let check = |status, message: &str, want: &str| {
            assert_eq!(driver_message(&WebDriver::new(status, message.to_owned())), want);
        };
        let refused = "unknown error: net::ERR_CONNECTION_REFUSED\n  (Session info: chrome=156.0)";
        check(ErrorStatus::UnknownError, refused, "unknown error: net::ERR_CONNECTION_REFUSED");
        let lines = "session not created\nfrom unknown error: cannot create temp dir\n  (Session info: x)";
        let all = "session not created from unknown error: cannot create temp dir";
        check(ErrorStatus::SessionNotCreated, lines, all);
        check(ErrorStatus::Timeout, "", "timeout");
    }

    #[test]
    fn driver_url_may_have_a_path() {
        let check = |driver: &str, want: &str| {
            let url = as_directory(&Url::parse(driver).unwrap());
            assert_eq!(url.join("session").unwrap().as_str(), want);
        };
        check("http://127.0.0.1:9515", "http://127.0.0.1:9515/session");
        check("http://grid:4444/wd/hub/", "http://grid:4444/wd/hub/session");
        check("http://grid:4444/wd/hub", "http://grid:4444/wd/hub/session");
    }
}
