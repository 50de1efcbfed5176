//! Responses and errors of requests.

use common::store::StoreError;
use reqwest::{
    StatusCode,
    header::{CONTENT_TYPE, ETAG, HeaderName},
};
use url::Url;

use super::public_client::FetchError;

/// A response with its decompressed body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// The URL after redirects.
    pub url: Url,
    pub status: u16,
    pub etag: Option<String>,
    pub content_type: Option<String>,
    pub bytes: Vec<u8>,
}

impl Response {
    /// Whether the caller's copy is current (304).
    #[must_use]
    pub fn is_not_modified(&self) -> bool {
        self.status == StatusCode::NOT_MODIFIED
    }

    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).expect("the status came from a response")
    }

    /// Makes a response without a body from the headers.
    pub(super) fn from_head(url: &Url, response: &reqwest::Response) -> Self {
        let header = |name: HeaderName| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        Self {
            url: url.clone(),
            status: response.status().as_u16(),
            etag: header(ETAG),
            content_type: header(CONTENT_TYPE),
            bytes: Vec::new(),
        }
    }
}

/// Why a request failed. Messages name the URL and never contain the API key.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WebError {
    /// The host failed (5xx, 408) or did not respond.
    #[error("{0}")]
    Retryable(String),
    /// The host is in back-off, or the quota is used up: snooze the job.
    #[error("backing off from {host}: {reason}")]
    BackedOff {
        /// The host, or the API whose quota is used up.
        host: String,
        /// Deadline in ms of Redis's clock.
        until_ms: u64,
        reason: String,
    },
    /// The job's time slice ended before the request was complete: snooze the job without a delay.
    #[error("the job's time slice has ended; other jobs run first")]
    TimeSliceEnded,
    /// 404.
    #[error("{0}")]
    NotFound(String),
    /// 410.
    #[error("{0}")]
    Gone(String),
    /// The request is not allowed: `robots.txt` disallows the URL, its address is not public, or the API key must
    /// not be sent there.
    #[error("{0}")]
    Refused(String),
    /// The body exceeds the limit.
    #[error("{0}")]
    TooLarge(String),
    /// The response breaks the protocol: too many redirects, an unknown encoding, a corrupt gzip stream.
    #[error("{0}")]
    Malformed(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<FetchError> for WebError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Refused(message) => Self::Refused(message),
            FetchError::TooLarge(message) => Self::TooLarge(message),
            FetchError::Failed(message) => Self::Retryable(message),
        }
    }
}
