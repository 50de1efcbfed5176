//! Stored requests of embed and predict submissions. `crawl` has that of crawls.

use common::{digest::Digest, ids::SubmissionId, store::Submission};
use serde::{Deserialize, Serialize};
use url::Url;

use super::SubmissionError;
use crate::api::UploadedImage;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct EmbedSpec {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dataset: Option<Url>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) images: Vec<NamedImage>,
    /// Whether images without a row are skipped: a run has no label for them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) rows_only: bool,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct PredictSpec {
    pub(crate) run: SubmissionId,
    /// Why it is this run, if it was not requested by its ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) chosen: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dataset: Option<Url>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) images: Vec<NamedImage>,
}

/// An uploaded image with the submitter's name for it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct NamedImage {
    pub(crate) item: String,
    pub(crate) sha256: Digest,
}

impl From<&UploadedImage> for NamedImage {
    fn from(image: &UploadedImage) -> Self {
        Self { item: image.item.clone(), sha256: image.sha256 }
    }
}

/// Reads the stored request of a submission.
pub(super) fn read_spec<T: for<'de> Deserialize<'de>>(submission: &Submission) -> Result<T, SubmissionError> {
    serde_json::from_value(submission.spec.clone())
        .map_err(|error| SubmissionError::Failed(format!("cannot read the stored request: {error}")))
}
