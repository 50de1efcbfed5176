//! Shared by all sources: the context of their requests, and what a faulty response means for the job.

use common::{
    job::{crawl::CrawlPlan, outcome::FailureReason},
    store::Store,
};
use url::Url;

use crate::{
    error::CrawlError,
    http::{HostKind, Response},
    recorded_response::{Endpoint, ResponseRecorder},
    time_slice::TimeSlice,
    youtube::faults::{Fault, FaultClass},
};

#[derive(Clone, Copy)]
pub(crate) struct SourceContext<'a> {
    pub(crate) slice: &'a TimeSlice,
    pub(crate) recorder: &'a ResponseRecorder<'a>,
    pub(crate) plan: &'a CrawlPlan,
    /// The clock of the listing.
    pub(crate) store: &'a Store,
}

impl SourceContext<'_> {
    /// Converts the fault of a page to the job's error. A response with an unknown layout is recorded.
    pub(super) async fn to_crawl_error(
        self,
        endpoint: Endpoint,
        response: &Response,
        fault: &Fault,
    ) -> CrawlError {
        match fault.class() {
            FaultClass::Permanent => CrawlError::item(FailureReason::Unavailable, fault.to_string()),
            FaultClass::Transient => CrawlError::retryable(format!("{}: {fault}", response.url)),
            FaultClass::Blocked => {
                let is_api = response.url.as_str().starts_with(self.plan.bases.api.as_str());
                let kind = if is_api { HostKind::Api { units: 0 } } else { HostKind::Web };
                self.slice.back_off(kind, &response.url, &fault.to_string()).await
            }
            FaultClass::Drift => self.recorder.record_drift(endpoint, response, fault).await,
        }
    }
}

/// Joins `path` to a base URL, whose path ends with `/`.
pub(super) fn join_url(base: &Url, path: &str) -> Result<Url, CrawlError> {
    let path = path.trim_start_matches('/');
    base.join(path).map_err(|error| {
        CrawlError::item(
            FailureReason::InvalidRow,
            format!("'{path}' below {base} is not a valid URL: {error}"),
        )
    })
}
