//! One turn of a crawl job: what it asks the web, until others are to have their slice.
//!
//! Owns the end of the slice, by which every request of the job must have begun; without it, jobs that wait for the
//! same host would exceed the time that a worker allows for one, and bring it down. What has begun comes to its end,
//! so that nothing is asked for twice.

use std::time::Duration;

use common::store::Snooze;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::{
    error::CrawlError,
    http::{Answer, HostKind, LIMIT, Web, WebError},
};

/// Longest slice.
const LONGEST: Duration = Duration::from_secs(100);

/// A job's slice. Clones are the same slice.
#[derive(Clone)]
pub(crate) struct TimeSlice {
    web: Web,
    /// When even what has begun is given up.
    given_up: Instant,
}

impl TimeSlice {
    /// Begins a turn of a worker that may work on a job for `job_timeout`.
    #[must_use]
    pub(crate) fn new(web: &Web, job_timeout: Duration) -> Self {
        let ends = Instant::now() + LONGEST.min(job_timeout / 3);
        Self { web: web.until(ends), given_up: ends + LIMIT.min(job_timeout / 3) }
    }

    /// Whether there is a key for the Data API.
    #[must_use]
    pub(crate) fn has_api_key(&self) -> bool {
        self.web.has_api_key()
    }

    /// Gets `url`, as [`Web::get`] does.
    ///
    /// # Errors
    /// When the web says so, or the turn is over.
    pub(crate) async fn get(
        &self,
        kind: HostKind,
        url: &Url,
        etag: Option<&str>,
    ) -> Result<Answer, WebError> {
        let asking = self.web.get(kind, url, etag);
        timeout_at(self.given_up, asking).await.unwrap_or_else(|_| Err(WebError::time_slice_is_over()))
    }

    /// Posts JSON to `url`, as [`Web::post_json`] does.
    ///
    /// # Errors
    /// When the web says so, or the turn is over.
    pub(crate) async fn post_json(
        &self,
        kind: HostKind,
        url: &Url,
        body: &Value,
    ) -> Result<Answer, WebError> {
        let asking = self.web.post_json(kind, url, body);
        timeout_at(self.given_up, asking).await.unwrap_or_else(|_| Err(WebError::time_slice_is_over()))
    }

    /// Has the fleet leave the host of `url` alone, for what a body said.
    pub(crate) async fn trouble(&self, url: &Url, reason: &str) -> CrawlError {
        self.web.trouble(url, reason).await.into()
    }

    /// Has the fleet leave the Data API alone until there are new units.
    pub(crate) async fn quota_exceeded(&self) -> CrawlError {
        self.web.quota_exceeded().await.into()
    }
}

/// Whether a pause is only the end of a slice.
#[must_use]
pub(crate) fn is_over(pause: &Snooze) -> bool {
    pause.until_ms == 0
}
