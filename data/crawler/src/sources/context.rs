//! What every source makes its requests with.
//!
//! Owns what a fault of a page means for the job, and URLs below a base. Does not own how an answer is read.

use common::{
    job::{crawl::CrawlPlan, outcome::FailureReason},
    store::Store,
};
use url::Url;

use crate::{
    error::CrawlError,
    http::Answer,
    recorded_response::{Endpoint, ResponseRecorder},
    time_slice::TimeSlice,
    youtube::faults::{Fault, FaultClass},
};

/// What a source makes its requests with.
#[derive(Clone, Copy)]
pub(crate) struct SourceContext<'a> {
    /// The turn within which it must be over.
    pub(crate) slice: &'a TimeSlice,
    /// Keeps what cannot be read.
    pub(crate) recorder: &'a ResponseRecorder<'a>,
    /// What is wanted.
    pub(crate) plan: &'a CrawlPlan,
    /// Tells the time.
    pub(crate) store: &'a Store,
}

impl SourceContext<'_> {
    /// What a fault of a page means for the job; an answer in a form that is not known is kept.
    pub(super) async fn faulty(self, endpoint: Endpoint, answer: &Answer, fault: &Fault) -> CrawlError {
        match fault.class() {
            FaultClass::Permanent => CrawlError::item(FailureReason::Unavailable, fault.to_string()),
            FaultClass::Transient => CrawlError::retryable(format!("{}: {fault}", answer.url)),
            FaultClass::Blocked => self.slice.trouble(&answer.url, &fault.to_string()).await,
            FaultClass::Drift => self.recorder.drifted(endpoint, answer, fault).await,
        }
    }
}

/// A URL below a base, whose path ends with `/`.
pub(super) fn below(base: &Url, path: &str) -> Result<Url, CrawlError> {
    let path = path.trim_start_matches('/');
    base.join(path).map_err(|error| {
        CrawlError::item(FailureReason::InvalidRow, format!("'{path}' below {base} makes no URL: {error}"))
    })
}
