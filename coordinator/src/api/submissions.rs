//! Submissions: what they ask for, the images uploaded for them, and the results and embeddings of their items.

use std::fmt;

use common::{
    digest::Digest,
    ids::SubmissionId,
    job::outcome::Crawled,
    store::{State, SubmissionKind},
};
use dataset::target::Target;
use serde::{Deserialize, Serialize};

use super::{crawl::CrawlRequest, jobs::PauseView};

/// `POST /v1/submissions`: what to do.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SubmissionRequest {
    /// Embed images.
    Embed {
        /// A folder the server may read, as an absolute path or a URI; or else `images`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dataset: Option<String>,
        /// Images uploaded before with `POST /v1/images`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        images: Vec<UploadedImage>,
        /// Seconds after which jobs that are not finished are discarded as expired; nothing for no limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline_seconds: Option<u64>,
    },
    /// Predict the target of images with a run's head.
    Predict {
        /// A run's id, `latest` for the newest that succeeded, or `best` for the one with the least test error
        /// beside its baseline.
        #[serde(default = "latest")]
        run: String,
        /// A folder the server may read; or else `images`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dataset: Option<String>,
        /// Images uploaded before with `POST /v1/images`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        images: Vec<UploadedImage>,
        /// Seconds after which jobs that are not finished are discarded as expired; nothing for no limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline_seconds: Option<u64>,
    },
    /// Crawl channels or videos into a dataset.
    Crawl(Box<CrawlRequest>),
}

impl SubmissionRequest {
    /// Most images of one request.
    pub const MAX_IMAGES: usize = 10_000;
}

fn latest() -> String {
    "latest".to_owned()
}

/// One uploaded image and the name its caller knows it by.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UploadedImage {
    /// The caller's name for it; appears in results.
    pub item: String,
    /// Its digest, as `POST /v1/images` returned it.
    pub sha256: Digest,
}

/// Answer of `POST /v1/images`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StoredImage {
    /// SHA-256 of the bytes.
    pub sha256: Digest,
    /// Their number.
    pub bytes: u64,
}

/// A submission as `GET /v1/submissions/{id}` shows it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SubmissionView {
    /// Its id.
    pub submission: SubmissionId,
    /// What kind of thing it asks for.
    pub kind: SubmissionKind,
    /// Where it stands.
    pub state: State,
    /// Items, those rejected while preparing included.
    pub items: u64,
    /// Items resolved well.
    pub succeeded: u64,
    /// Items that failed.
    pub failed: u64,
    /// Of the succeeded, those that needed no model.
    pub cached: u64,
    /// From creation to the end, or to now.
    pub elapsed_seconds: f64,
    /// Succeeded and failed items a second.
    pub items_per_second: f64,
    /// Thumbnails that a crawl has stored so far; absent from what is no crawl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnails: Option<u64>,
    /// Why and until when jobs of it rest, while they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<PauseView>,
    /// Why it failed as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The run that a predict submission uses, or that made an embed submission for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<SubmissionId>,
}

/// Whether an item is resolved, and how.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    /// Its job is not done.
    Pending,
    /// It has an embedding.
    Embedded,
    /// It has a prediction.
    Predicted,
    /// It was crawled.
    Crawled,
    /// It failed.
    Failed,
    /// A state of another version.
    #[serde(untagged)]
    Other(String),
}

impl fmt::Display for ItemState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Query of `GET /v1/submissions/{id}/results`.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct ResultsParams {
    /// The `next` of the page before; absent for the first page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Whether only items that failed are wanted.
    #[serde(default)]
    pub failed: bool,
}

/// One line of `GET /v1/submissions/{id}/results`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ItemView {
    /// The item: a file name relative to its dataset, an upload's name, or a metadata line.
    pub item: String,
    /// Whether it is resolved, and how.
    pub state: ItemState,
    /// SHA-256 of the image, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// The prediction, in the target's raw units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prediction: Option<f64>,
    /// What was predicted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// What was crawled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crawled: Option<Crawled>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// `POST /v1/images/fetch`: an image to fetch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchRequest {
    /// An http or https URL at a public address.
    pub url: String,
}

/// Query of `GET /v1/submissions/{id}/embeddings`.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct EmbeddingsParams {
    /// The `next` of the page before; absent for the first page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The space of the embeddings; the one in use where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
}

/// One line of `GET /v1/submissions/{id}/embeddings`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EmbeddingView {
    /// The item.
    pub item: String,
    /// SHA-256 of the image.
    pub sha256: Digest,
    /// Its 512 features.
    pub embedding: Vec<f32>,
}
