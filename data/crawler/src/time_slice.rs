//! The time slice of a crawl job: requests must start before it ends, then the job is snoozed and others run.
//!
//! Without time slices, jobs that wait for one host would exceed the worker's job timeout and end the worker. A
//! request that has started completes, so that it is not repeated.

use std::time::Duration;

use common::{job::crawl::Bases, store::Snooze};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::{
    error::CrawlError,
    http::{HostKind, REQUEST_TIMEOUT, Response, Web, WebError},
};

const MAX_TIME_SLICE: Duration = Duration::from_secs(100);

/// A job's time slice. Clones share it.
#[derive(Clone)]
pub(crate) struct TimeSlice {
    web: Web,
    /// Requests that have started are aborted at this time.
    abort_at: Instant,
}

impl TimeSlice {
    #[must_use]
    pub(crate) fn new(web: &Web, bases: &Bases, job_timeout: Duration) -> Self {
        let ends = Instant::now() + MAX_TIME_SLICE.min(job_timeout / 3);
        let web = web.with_bases(bases).with_admission_deadline(ends);
        Self { web, abort_at: ends + REQUEST_TIMEOUT.min(job_timeout / 3) }
    }

    #[must_use]
    pub(crate) fn has_api_key(&self) -> bool {
        self.web.has_api_key()
    }

    /// [`Web::get`] within the time slice.
    pub(crate) async fn get(
        &self,
        kind: HostKind,
        url: &Url,
        etag: Option<&str>,
    ) -> Result<Response, WebError> {
        let request = self.web.get(kind, url, etag);
        timeout_at(self.abort_at, request).await.unwrap_or(Err(WebError::TimeSliceEnded))
    }

    /// [`Web::post_json`] within the time slice.
    pub(crate) async fn post_json(
        &self,
        kind: HostKind,
        url: &Url,
        body: &Value,
    ) -> Result<Response, WebError> {
        let request = self.web.post_json(kind, url, body);
        timeout_at(self.abort_at, request).await.unwrap_or(Err(WebError::TimeSliceEnded))
    }

    /// [`Web::back_off`]
    pub(crate) async fn back_off(&self, kind: HostKind, url: &Url, reason: &str) -> CrawlError {
        self.web.back_off(kind, url, reason).await.into()
    }

    /// [`Web::mark_quota_exceeded`]
    pub(crate) async fn mark_quota_exceeded(&self) -> CrawlError {
        self.web.mark_quota_exceeded().await.into()
    }
}

/// Whether a snooze is the end of a time slice, which has no delay.
#[must_use]
pub(crate) fn is_slice_end(snooze: &Snooze) -> bool {
    snooze.until_ms == 0
}
