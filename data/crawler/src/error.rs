//! Errors of a crawl, and what each means for the job: fail the item, snooze, or retry.

use common::{
    job::outcome::{FailureReason, ItemFailure},
    store::{Snooze, StoreError},
};
use dataset::files::ReadError;

use crate::http::WebError;

/// Why a crawl job stopped.
#[derive(Clone, Debug)]
pub enum CrawlError {
    /// The item fails; another attempt would end the same way.
    Item(ItemFailure),
    /// The host is in back-off, or the time slice has ended. Spends no attempt.
    Snooze(Snooze),
    /// The dataset's storage failed.
    Storage(String),
    /// Another attempt may succeed.
    Retryable(String),
    /// The job is invalid.
    Permanent(String),
    Store(StoreError),
}

impl CrawlError {
    #[must_use]
    pub fn item(reason: FailureReason, detail: impl Into<String>) -> Self {
        Self::Item(ItemFailure::new(reason, detail))
    }

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
        let message = error.to_string();
        match error {
            WebError::BackedOff { until_ms, .. } => Self::Snooze(Snooze { until_ms, reason: message }),
            WebError::TimeSliceEnded => Self::Snooze(Snooze { until_ms: 0, reason: message }),
            WebError::Retryable(_) | WebError::Malformed(_) => Self::retryable(message),
            WebError::NotFound(_) | WebError::Gone(_) => Self::item(FailureReason::Unavailable, message),
            WebError::Refused(_) => Self::item(FailureReason::Refused, message),
            WebError::TooLarge(_) => Self::item(FailureReason::TooLarge, message),
            WebError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for CrawlError {
    fn from(error: StoreError) -> Self {
        if error.is_retryable() { Self::Store(error) } else { Self::Permanent(error.to_string()) }
    }
}
