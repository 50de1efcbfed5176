//! Stored requests of embed and predict submissions. `crawl` has that of crawls.
//!
//! The lists in a request, up to some megabytes, are stored only until the manifest has them.

use common::{
    digest::Digest, embedding::Space, ids::SubmissionId, job::output::ShardFormat, store::Submission,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
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
    /// The space to embed into; `None` as long as it takes a live worker to decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) space: Option<Space>,
    /// Whether devices of one class are to compute everything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) uniform_hardware: bool,
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
    /// The space of the run, or that of one of its device classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) space: Option<Space>,
    /// Whether devices of one class are to compute everything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) uniform_hardware: bool,
    /// Where the predictions are written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<OutputSpec>,
}

/// The requested output of a predict submission; the columns get their types when the dataset is read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct OutputSpec {
    pub(crate) folder: Url,
    #[serde(default)]
    pub(crate) format: ShardFormat,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) columns: Vec<String>,
    /// Items per job.
    pub(crate) shard_rows: u32,
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

/// Returns a stored request without its lists, of which the number of images is kept for users; `None` if it has none.
pub(super) fn without_lists(spec: &Value) -> Option<Value> {
    let mut short = spec.clone();
    let fields = short.as_object_mut()?;
    if let Some(images) = fields.remove("images") {
        let images = images.as_array().map_or(&[][..], Vec::as_slice);
        fields.insert("image_count".to_owned(), images.len().into());
        if let [image] = images {
            fields.insert("image".to_owned(), image["item"].clone());
        }
    }
    fields.remove("channels");
    fields.remove("videos");
    (short != *spec).then_some(short)
}

/// Describes what a submission works on.
pub(super) fn subject(spec: &Value) -> String {
    let short = without_lists(spec);
    let spec = short.as_ref().unwrap_or(spec);
    let text = |field: &str| spec[field].as_str().map(str::to_owned);
    let images = || format!("{} images", spec["image_count"].as_u64().unwrap_or(0));
    text("dataset").or_else(|| text("out")).or_else(|| text("image")).unwrap_or_else(images)
}

/// Reads the stored request of a submission.
pub(super) fn read_spec<T: for<'de> Deserialize<'de>>(submission: &Submission) -> Result<T, SubmissionError> {
    serde_json::from_value(submission.spec.clone())
        .map_err(|error| SubmissionError::Failed(format!("cannot read the stored request: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_are_dropped_and_the_subject_stays() {
        let image = |name: &str| json!({"item": name, "sha256": Digest::of(b"x")});
        for (spec, short, what) in [
            (
                json!({"run": 1, "images": [image("a"), image("b")]}),
                json!({"run": 1, "image_count": 2}),
                "2 images",
            ),
            (json!({"images": [image("a.jpg")]}), json!({"image_count": 1, "image": "a.jpg"}), "a.jpg"),
            (
                json!({"out": "file:///set/", "channels": [{"channel": "@a"}], "videos": ["v"]}),
                json!({"out": "file:///set/"}),
                "file:///set/",
            ),
        ] {
            assert_eq!((without_lists(&spec), subject(&spec)), (Some(short.clone()), what.to_owned()));
            assert_eq!((without_lists(&short), subject(&short)), (None, what.to_owned()));
        }
        let dataset = json!({"dataset": "s3://bucket/set/"});
        assert_eq!((without_lists(&dataset), subject(&dataset)), (None, "s3://bucket/set/".to_owned()));
    }
}
