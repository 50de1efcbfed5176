//! What comes of a request.

use common::store::StoreError;
use reqwest::{
    Response, StatusCode,
    header::{CONTENT_TYPE, ETAG, HeaderName},
};
use url::Url;

use super::public_client::FetchError;

/// An answer, unpacked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Who answered, after redirects.
    pub url: Url,
    /// The status.
    pub status: u16,
    /// The validator of this version, if it has one.
    pub etag: Option<String>,
    /// The media type, as it was said.
    pub content_type: Option<String>,
    /// The body.
    pub bytes: Vec<u8>,
}

impl Answer {
    /// Whether the caller's copy is still the current one.
    #[must_use]
    pub fn is_not_modified(&self) -> bool {
        self.status == StatusCode::NOT_MODIFIED
    }

    /// Whether the status is one of success.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).expect("it was a status")
    }

    /// An answer without its body.
    pub(super) fn of_head(url: &Url, answer: &Response) -> Self {
        let header = |name: HeaderName| {
            answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        Self {
            url: url.clone(),
            status: answer.status().as_u16(),
            etag: header(ETAG),
            content_type: header(CONTENT_TYPE),
            bytes: Vec::new(),
        }
    }
}

/// Why a URL yields no answer. Each says which URL, and none says the key.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WebError {
    /// The host does not serve now: an error of its own, or silence.
    #[error("{0}")]
    Retryable(String),
    /// The host is left alone for a while, or the key has no units left today: put the job back until then.
    #[error("{host} is left alone for a while: {reason}")]
    BackedOff {
        /// The host, or what the quota is for.
        host: String,
        /// Until when, in Redis's time.
        until_ms: u64,
        /// Why.
        reason: String,
    },
    /// There is nothing at the URL.
    #[error("{0}")]
    NotFound(String),
    /// There is nothing at the URL any more.
    #[error("{0}")]
    Gone(String),
    /// The URL may not be asked for: the host's `robots.txt` disallows it, its address is not public, or the
    /// key is not for it.
    #[error("{0}")]
    Refused(String),
    /// The body has more bytes than allowed.
    #[error("{0}")]
    TooLarge(String),
    /// The answer is none of HTTP as we speak it.
    #[error("{0}")]
    Malformed(String),
    /// The store does not serve.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl WebError {
    /// The time to wait for a place is over: a pause that ends at once.
    pub(crate) fn time_slice_is_over() -> Self {
        Self::BackedOff {
            host: "the job".to_owned(),
            until_ms: 0,
            reason: "its turn is over, and others have theirs".to_owned(),
        }
    }
}

impl From<FetchError> for WebError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Refused(what) => Self::Refused(what),
            FetchError::TooLarge(what) => Self::TooLarge(what),
            FetchError::Failed(what) => Self::Retryable(what),
        }
    }
}
