//! What was asked for, as the record of a submission keeps it: read again after a restart.
//!
//! Owns the stored form of embed and predict submissions; that of crawls is in `crawl`.

use common::{digest::Digest, ids::SubmissionId, store::Submission};
use serde::{Deserialize, Serialize};
use url::Url;

use super::SubmissionError;
use crate::api::UploadedImage;

/// An embed submission.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct EmbedSpec {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dataset: Option<Url>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) images: Vec<NamedImage>,
}

/// A predict submission.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct PredictSpec {
    pub(crate) run: SubmissionId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dataset: Option<Url>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) images: Vec<NamedImage>,
}

/// An uploaded image, under its submitter's name for it.
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

/// Reads the request out of a submission's record.
///
/// # Errors
/// When it is written in another way than here.
pub(super) fn read_spec<T: for<'de> Deserialize<'de>>(submission: &Submission) -> Result<T, SubmissionError> {
    serde_json::from_value(submission.spec.clone())
        .map_err(|error| SubmissionError::Failed(format!("its request is unreadable: {error}")))
}
