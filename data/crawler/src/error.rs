//! Why a crawl does not reach its end.
//!
//! Owns what an error of the site, the storage or the store means for the crawl: its item fails, it rests, or it is tried
//! again.

use common::{
    job::outcome::{FailureReason, ItemFailure},
    store::{Snooze, StoreError},
};
use dataset::files::ReadError;

use crate::http::WebError;

/// Why a crawl does not reach its end.
#[derive(Clone, Debug)]
pub enum CrawlError {
    /// The item fails: it would be the same the next time.
    Item(ItemFailure),
    /// Nobody is to blame: the source rests, or others have their turn.
    Rest(Snooze),
    /// The dataset cannot be written to now.
    Storage(String),
    /// It may be better in a moment.
    Retryable(String),
    /// The job can never be carried out.
    Permanent(String),
    /// The store does not serve.
    Store(StoreError),
}

impl CrawlError {
    /// The item fails for `reason`.
    #[must_use]
    pub fn item(reason: FailureReason, detail: impl Into<String>) -> Self {
        Self::Item(ItemFailure::new(reason, detail))
    }

    /// It may be better in a moment.
    #[must_use]
    pub fn retryable(detail: impl Into<String>) -> Self {
        Self::Retryable(detail.into())
    }
}

impl From<ReadError> for CrawlError {
    fn from(error: ReadError) -> Self {
        if error.is_retryable() {
            Self::Storage(error.to_string())
        } else {
            Self::item(FailureReason::Refused, error.to_string())
        }
    }
}

impl From<WebError> for CrawlError {
    fn from(error: WebError) -> Self {
        let text = error.to_string();
        match error {
            WebError::BackedOff { until_ms, .. } => Self::Rest(Snooze { until_ms, reason: text }),
            WebError::Retryable(_) | WebError::Malformed(_) => Self::retryable(text),
            WebError::NotFound(_) | WebError::Gone(_) => Self::item(FailureReason::Unavailable, text),
            WebError::Refused(_) => Self::item(FailureReason::Refused, text),
            WebError::TooLarge(_) => Self::item(FailureReason::TooLarge, text),
            WebError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for CrawlError {
    fn from(error: StoreError) -> Self {
        if error.is_retryable() { Self::Store(error) } else { Self::Permanent(error.to_string()) }
    }
}
