//! Keeping the answers of one submission.
//!
//! Owns where they are written and how many are kept.

use std::fmt::Display;

use bytes::Bytes;
use common::{ids::SubmissionId, job::outcome::FailureReason, store::Store};
use dataset::files::Files;
use url::Url;

use super::file::{Endpoint, RecordedResponse};
use crate::{error::CrawlError, http::Answer};

/// Answers kept of one submission, at most, and the bytes of one.
const MOST_ANSWERS: u32 = 20;
const MOST_BYTES: usize = 4 << 20;

/// Keeps answers of one job's submission.
pub struct ResponseRecorder<'a> {
    store: &'a Store,
    submission: SubmissionId,
    /// The folder of all that is kept, beside the manifests.
    folder: Option<Url>,
    item: &'a str,
}

impl<'a> ResponseRecorder<'a> {
    /// Keeps answers about `item`, whose manifest part lies at `part`.
    #[must_use]
    pub fn new(store: &'a Store, submission: SubmissionId, part: &Url, item: &'a str) -> Self {
        // manifests/<submission>/00000.jsonl → crawl/<submission>/
        let folder = part.join(&format!("../../crawl/{submission}/")).ok();
        Self { store, submission, folder, item }
    }

    /// Keeps an answer that is no longer in a form that is known, and returns that its item fails.
    pub async fn drifted(
        &self,
        endpoint: Endpoint,
        answer: &Answer,
        drift: &(dyn Display + Sync),
    ) -> CrawlError {
        let detail = match self.keep(endpoint, answer, drift).await {
            Some(name) => {
                format!("{drift} (the answer is kept as {name}: `subwatch crawl replay` reads it again)")
            }
            None => drift.to_string(),
        };
        CrawlError::item(FailureReason::SchemaDrift, detail)
    }

    /// Keeps an answer. Returns its name below the artifacts folder; nothing where there are enough, or it
    /// cannot be kept: the crawl does not depend on it.
    pub async fn keep(
        &self,
        endpoint: Endpoint,
        answer: &Answer,
        why: &(dyn Display + Sync),
    ) -> Option<String> {
        let number = self.store.number_recorded_response(self.submission, MOST_ANSWERS).await;
        let number = number.inspect_err(|error| tracing::warn!(%error, "an answer is not kept")).ok()??;
        let kept = RecordedResponse {
            endpoint,
            item: self.item.to_owned(),
            url: answer.url.to_string(),
            status: answer.status,
            why: why.to_string(),
            cut: answer.bytes.len() > MOST_BYTES,
        };
        let file = format!("{number:02}-{endpoint}.{}", endpoint.ending());
        let body = &answer.bytes[..answer.bytes.len().min(MOST_BYTES)];
        let written = async {
            let folder = self.folder.as_ref().ok_or("its folder makes no URL")?;
            let files = Files::open(folder).map_err(|error| error.to_string())?;
            files.write(&file, Bytes::from(kept.write(body))).await.map_err(|error| error.to_string())
        };
        match written.await {
            Ok(()) => Some(format!("crawl/{}/{file}", self.submission)),
            Err(error) => {
                tracing::warn!(submission = %self.submission, file, %error, "an answer is not kept");
                None
            }
        }
    }
}
