//! Submissions: what they ask for, the images uploaded for them, and the results and embeddings of their items.

use std::{collections::BTreeMap, fmt};

use common::{
    digest::Digest,
    embedding::{DeviceClass, Space},
    ids::SubmissionId,
    job::{outcome::Crawled, output::ShardFormat},
    store::{State, SubmissionKind},
};
use dataset::{imagefolder::SkippedFiles, target::Target};
use serde::{Deserialize, Deserializer, Serialize};

use super::{crawl::CrawlRequest, jobs::SnoozeView, paging::read_limit};

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
        /// The embedding space. Default: that of most live workers, or of the worker that started last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        space: Option<String>,
        /// Whether only devices of one class compute: the class of most live workers of the space. The embeddings are in a
        /// space of their own, `SPACE@CLASS`.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        uniform_hardware: bool,
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
        /// Whether only devices of one class compute: the class of most live workers of the run's space.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        uniform_hardware: bool,
        /// Where the workers write the predictions of a dataset. Default: they are only stored as results.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<OutputRequest>,
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

/// Where a batch prediction is written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputRequest {
    /// Absolute path or URI of an empty or new folder under one of the server's dataset roots or its artifacts folder.
    pub folder: String,
    /// Default: `parquet`.
    #[serde(default)]
    pub format: ShardFormat,
    /// Columns of the dataset's metadata that are carried along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Rows per shard, and so items per job, from 1 to 1024. Default: 1024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard_rows: Option<u32>,
}

/// Where a batch prediction is written, as a submission shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OutputView {
    /// URL of the folder.
    pub folder: String,
    pub format: ShardFormat,
    /// Number of shards.
    pub shards: u32,
    /// URL of the manifest; absent until it is written, which is last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
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

/// Response of `DELETE /v1/images`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DroppedUploads {
    /// Number of images.
    pub dropped: u64,
}

/// Query of `DELETE /v1/submissions`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteParams {
    /// Name of an access token.
    pub submitted_by: String,
    /// `next` of the previous response; absent for the first request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Response of `DELETE /v1/submissions` and `DELETE /v1/submissions/{id}`.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct DeletedSubmissions {
    /// Number of submissions and runs.
    pub deleted: u64,
    /// Number of those that were not deleted, since they have not ended.
    pub unfinished: u64,
    /// Send it as `cursor` to go on; absent after the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl DeletedSubmissions {
    /// Adds the response to the next request.
    pub fn add(&mut self, more: Self) {
        let Self { deleted, unfinished, next } = more;
        self.deleted += deleted;
        self.unfinished += unfinished;
        self.next = next;
    }
}

/// A submission as `GET /v1/submissions/{id}` shows it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SubmissionView {
    pub submission: SubmissionId,
    pub kind: SubmissionKind,
    pub state: State,
    /// What it works on: the URL of a dataset, or the number of images.
    #[serde(default)]
    pub subject: String,
    /// When it was created, in Unix milliseconds.
    #[serde(default)]
    pub created_ms: u64,
    /// Name of the access token that submitted it; absent without tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_by: Option<String>,
    /// Number of items, including those rejected during preparation.
    pub items: u64,
    /// Whether `items` has only those listed so far: the dataset is still being listed, or was when the submission was
    /// closed. Absent if not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
    pub succeeded: u64,
    pub failed: u64,
    /// Succeeded items whose embedding was in the cache.
    pub cached: u64,
    /// The others of those, by the class of the device that computed them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub computed_on: BTreeMap<DeviceClass, u64>,
    /// The embedding space of its jobs; absent for crawls, and until it is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<Space>,
    /// What an unfinished submission waits for, if no live worker can run its jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
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
    /// Images that no row of the dataset names; absent if there are none, or no rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_row: Option<u64>,
    /// Number of files in the dataset that are neither images nor metadata, by the ending of their names.
    #[serde(default, skip_serializing_if = "SkippedFiles::is_empty")]
    pub skipped_files: SkippedFiles,
    /// Why the submission failed as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The run whose head a predict submission uses, or the run that created an embed submission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<SubmissionId>,
    /// Why a predict submission uses that run, if it was requested as `latest` or `best`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_chosen: Option<String>,
    /// Where a predict submission writes its predictions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputView>,
}

#[cfg(test)]
impl SubmissionView {
    /// An embed submission that has begun.
    pub(crate) fn example() -> Self {
        Self {
            submission: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            kind: SubmissionKind::Embed,
            state: State::Running,
            subject: "file:///data/set/".to_owned(),
            created_ms: 1_764_054_000_000,
            submitted_by: None,
            items: 100,
            incomplete: false,
            succeeded: 0,
            failed: 0,
            cached: 0,
            computed_on: BTreeMap::new(),
            space: None,
            waiting: None,
            elapsed_seconds: 1.0,
            items_per_second: 0.0,
            thumbnails: None,
            snoozed: None,
            without_row: None,
            skipped_files: SkippedFiles::default(),
            error: None,
            run: None,
            run_chosen: None,
            output: None,
        }
    }
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
#[serde(deny_unknown_fields)]
pub struct ResultsParams {
    /// `next` of the previous page; absent for the first page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Whether to return failed items only.
    #[serde(default)]
    pub failed: bool,
    /// Maximum number of items, from 1 to 1000. Default: 100.
    #[serde(
        default,
        deserialize_with = "ResultsParams::read_limit",
        skip_serializing_if = "Option::is_none"
    )]
    pub limit: Option<usize>,
}

impl ResultsParams {
    pub const MAX_LIMIT: usize = 1000;
    const DEFAULT_LIMIT: usize = 100;

    /// Returns the effective limit.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(Self::DEFAULT_LIMIT)
    }

    fn read_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
        read_limit(deserializer, Self::MAX_LIMIT)
    }
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
#[serde(deny_unknown_fields)]
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
