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

use super::{crawl::CrawlRequest, jobs::SnoozeView};

/// `POST /v1/submissions`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SubmissionRequest {
    Embed {
        /// Absolute path or URI of a dataset under one of the server's dataset roots. Give this or `images`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dataset: Option<String>,
        /// Images that were uploaded with `POST /v1/images`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        images: Vec<UploadedImage>,
        /// Seconds after which unfinished jobs are discarded as expired. Default: no limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline_seconds: Option<u64>,
    },
    /// Predicts a run's target for images.
    Predict {
        /// A run's ID, `latest` or `best`. These names stand for the newest sound run of the target, and for the one with
        /// the lowest test MSE ÷ baseline MSE. A run is sound if it has succeeded and that ratio is below 1.
        #[serde(default = "latest")]
        run: String,
        /// The target to predict. Default: that of the named run; views per subscriber for `latest` and `best`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<Target>,
        /// Absolute path or URI of a dataset under one of the server's dataset roots. Give this or `images`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dataset: Option<String>,
        /// Images that were uploaded with `POST /v1/images`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        images: Vec<UploadedImage>,
        /// Seconds after which unfinished jobs are discarded as expired. Default: no limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline_seconds: Option<u64>,
    },
    /// Crawls channels or videos into a dataset.
    Crawl(Box<CrawlRequest>),
}

impl SubmissionRequest {
    /// Maximum length of `images`.
    pub const MAX_IMAGES: usize = 10_000;
}

fn latest() -> String {
    "latest".to_owned()
}

/// An uploaded image with the caller's name for it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UploadedImage {
    /// The caller's name for the image; results show it.
    pub item: String,
    /// The digest that `POST /v1/images` returned.
    pub sha256: Digest,
}

/// Response of `POST /v1/images` and `POST /v1/images/fetch`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StoredImage {
    pub sha256: Digest,
    /// Size in bytes.
    pub bytes: u64,
}

/// A submission as `GET /v1/submissions/{id}` shows it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SubmissionView {
    pub submission: SubmissionId,
    pub kind: SubmissionKind,
    pub state: State,
    /// Number of items, including those rejected during preparation.
    pub items: u64,
    pub succeeded: u64,
    pub failed: u64,
    /// Succeeded items whose embedding was in the cache.
    pub cached: u64,
    /// From creation to the end, or to now.
    pub elapsed_seconds: f64,
    /// Succeeded and failed items per second.
    pub items_per_second: f64,
    /// Thumbnails stored so far; only for crawls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnails: Option<u64>,
    /// Present while jobs of the submission are snoozed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snoozed: Option<SnoozeView>,
    /// Why the submission failed as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The run whose head a predict submission uses, or the run that created an embed submission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<SubmissionId>,
    /// Why a predict submission uses that run, if it was requested as `latest` or `best`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_chosen: Option<String>,
}

/// State of an item.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    Pending,
    Embedded,
    Predicted,
    Crawled,
    Failed,
    /// A state added by another version of the coordinator.
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
    /// `next` of the previous page; absent for the first page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Whether to return failed items only.
    #[serde(default)]
    pub failed: bool,
}

/// One line of `GET /v1/submissions/{id}/results`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ItemView {
    /// A file name relative to its dataset, an upload's name, or a metadata line.
    pub item: String,
    pub state: ItemState,
    /// SHA-256 of the image; absent while unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// The predicted value of the target, in raw units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prediction: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crawled: Option<Crawled>,
    /// Why the item failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// `POST /v1/images/fetch`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchRequest {
    /// URL of an image: http or https, at a public address.
    pub url: String,
}

/// Query of `GET /v1/submissions/{id}/embeddings`.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct EmbeddingsParams {
    /// `next` of the previous page; absent for the first page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Embedding space. Default: the one in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
}

/// One line of `GET /v1/submissions/{id}/embeddings`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EmbeddingView {
    pub item: String,
    /// SHA-256 of the image.
    pub sha256: Digest,
    /// Shape `[512]`.
    pub embedding: Vec<f32>,
}
