//! Records the unparsable responses of a submission, up to a maximum number and size.

use std::fmt::Display;

use bytes::Bytes;
use common::{ids::SubmissionId, job::outcome::FailureReason, store::Store};
use dataset::files::Files;
use url::Url;

use super::file::{Endpoint, RecordedResponse};
use crate::{error::CrawlError, http::Response};

/// Recorded responses per submission, and bytes of each body.
const MAX_RESPONSES: u32 = 20;
const MAX_BODY_BYTES: usize = 4 << 20;

/// Records responses about one item.
pub struct ResponseRecorder<'a> {
    store: &'a Store,
    submission: SubmissionId,
    /// `crawl/<submission>/` in the artifacts folder.
    folder: Option<Url>,
    item: &'a str,
}

impl<'a> ResponseRecorder<'a> {
    /// `part` is the URL of the item's manifest part.
    #[must_use]
    pub fn new(store: &'a Store, submission: SubmissionId, part: &Url, item: &'a str) -> Self {
        // manifests/<submission>/00000.jsonl → crawl/<submission>/
        let folder = part.join(&format!("../../crawl/{submission}/")).ok();
        Self { store, submission, folder, item }
    }

    /// Records a response with an unknown layout, and returns the item's failure.
    pub async fn record_drift(
        &self,
        endpoint: Endpoint,
        response: &Response,
        drift: &(dyn Display + Sync),
    ) -> CrawlError {
        let detail = match self.record(endpoint, response, drift).await {
            Some(name) => {
                format!("{drift} (recorded as {name}; parse it again with `subwatch crawl replay`)")
            }
            None => drift.to_string(),
        };
        CrawlError::item(FailureReason::SchemaDrift, detail)
    }

    /// Records a response. Returns its path in the artifacts folder, or `None` if the submission has the maximum
    /// number or writing failed: the crawl does not depend on it.
    pub async fn record(
        &self,
        endpoint: Endpoint,
        response: &Response,
        parse_error: &(dyn Display + Sync),
    ) -> Option<String> {
        let number = self.store.number_recorded_response(self.submission, MAX_RESPONSES).await;
        let number =
            number.inspect_err(|error| tracing::warn!(%error, "could not record a response")).ok()??;
        let recorded = RecordedResponse {
            endpoint,
            item: self.item.to_owned(),
            url: response.url.to_string(),
            status: response.status,
            original_error: parse_error.to_string(),
            truncated: response.bytes.len() > MAX_BODY_BYTES,
        };
        let file = format!("{number:02}-{endpoint}.{}", endpoint.file_extension());
        let body = &response.bytes[..response.bytes.len().min(MAX_BODY_BYTES)];
        let written = async {
            let folder = self.folder.as_ref().ok_or("the folder is not a valid URL")?;
            let files = Files::open_artifacts(folder).map_err(|error| error.to_string())?;
            files.write(&file, Bytes::from(recorded.write(body))).await.map_err(|error| error.to_string())
        };
        match written.await {
            Ok(()) => Some(format!("crawl/{}/{file}", self.submission)),
            Err(error) => {
                tracing::warn!(submission = %self.submission, file, %error, "could not record a response");
                None
            }
        }
    }
}
