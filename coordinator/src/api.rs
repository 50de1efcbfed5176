//! The words of the HTTP API: what requests and answers hold, in JSON.
//!
//! Shared by the server ([`crate::http`]) and the command line ([`crate::cli`]), which is its client.
//! Owns the shapes; they grow additively.

use common::{
    ids::{Digest, SubmissionId},
    store::{State, SubmissionKind, WorkerView},
};
use data::{
    split::SplitBy,
    target::{Target, Transform},
};
use serde::{Deserialize, Serialize};

/// `POST /v1/submissions`: what to do.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SubmissionRequest {
    /// Embed every image of a dataset.
    Embed {
        /// A folder the server may read, as an absolute path or a URI.
        dataset: String,
    },
    /// Predict the target of images with a run's head.
    Predict {
        /// A run's id, or `latest` for the newest that succeeded.
        #[serde(default = "latest")]
        run: String,
        /// A folder the server may read; or else `images`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dataset: Option<String>,
        /// Images uploaded before with `POST /v1/images`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        images: Vec<UploadedImage>,
    },
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

/// `POST /v1/runs`: what to train.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunRequest {
    /// A folder the server may read, as an absolute path or a URI.
    pub dataset: String,
    /// What to predict.
    pub target: Target,
    /// How the target is transformed before training.
    pub transform: Transform,
    /// Passes over the training split.
    pub epochs: u32,
    /// Global batch size: samples in one step, over all workers.
    pub batch_size: u32,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// Seed of the split and of the order of samples.
    pub seed: u64,
    /// Whether a channel may lie on two sides of the split.
    pub split_by: SplitBy,
    /// Leaves of the reduction tree.
    pub leaves: u32,
}

impl Default for RunRequest {
    fn default() -> Self {
        Self {
            dataset: String::new(),
            target: Target::ViewsPerSubscriber,
            transform: Transform::Log1p,
            epochs: 10,
            batch_size: 50,
            learning_rate: 1e-3,
            seed: 0,
            split_by: SplitBy::Video,
            leaves: 16,
        }
    }
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
    /// Why it failed as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The run that a predict submission uses, or that made an embed submission for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<SubmissionId>,
}

/// A page of `GET /v1/submissions` or `GET /v1/runs`, newest first.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Give it as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One line of `GET /v1/submissions/{id}/results`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ItemView {
    /// The item: a file name relative to its dataset, an upload's name, or a metadata line.
    pub item: String,
    /// `embedded`, `predicted`, `failed` or `pending`.
    pub state: String,
    /// SHA-256 of the image, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// The prediction, in the target's raw units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prediction: Option<f64>,
    /// What was predicted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A run as `GET /v1/runs/{id}` shows it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RunView {
    /// Its id.
    pub run: SubmissionId,
    /// Where it stands.
    pub state: State,
    /// What it is doing, in a few words: `embedding 640 of 3200 images`, `epoch 3 of 10, step 12 of 39`.
    pub progress: String,
    /// Share of the work done, from 0 to 1.
    pub fraction: f64,
    /// What was asked for.
    pub request: RunRequest,
    /// Samples on each side of the split, once known.
    pub split: Option<SplitCounts>,
    /// Samples that were left out, with the reason, as `reason: count`.
    pub left_out: Vec<LeftOut>,
    /// The epochs so far.
    pub epochs: Vec<EpochReport>,
    /// The epoch whose parameters are kept: least validation error.
    pub best_epoch: Option<u32>,
    /// Metrics on the test split, at the end.
    pub test: Option<TestReport>,
    /// SHA-256 of the head: `fc.weight`, then `fc.bias`, little-endian f32.
    pub weights_sha256: Option<Digest>,
    /// Where the embeddings came from.
    pub space: Option<String>,
    /// From creation to the end, or to now.
    pub elapsed_seconds: f64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Samples on each side of the split.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SplitCounts {
    /// Training split.
    pub train: u64,
    /// Validation split.
    pub valid: u64,
    /// Test split.
    pub test: u64,
}

/// Samples that a run could not use.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LeftOut {
    /// Why.
    pub reason: String,
    /// How many.
    pub items: u64,
}

/// One epoch. Errors are in transformed target units.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EpochReport {
    /// From 1.
    pub epoch: u32,
    /// Mean squared error over the training batches, each before its step.
    pub train_mse: f64,
    /// Mean squared error on the validation split after the epoch.
    pub valid_mse: f64,
    /// Wall time of the epoch, its evaluation included.
    pub seconds: f64,
}

/// Metrics on the test split, in transformed target units but for `raw`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TestReport {
    /// Mean squared error.
    pub mse: f64,
    /// Mean absolute error.
    pub mae: f64,
    /// Coefficient of determination against the test split's own mean.
    pub r2: f64,
    /// Spearman's rank correlation.
    pub spearman: f64,
    /// Mean squared error of predicting the training split's mean.
    pub baseline_mse: f64,
    /// The same in the target's raw units.
    pub raw: RawReport,
}

/// Metrics in the target's raw units.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RawReport {
    /// Mean squared error.
    pub mse: f64,
    /// Mean absolute error.
    pub mae: f64,
    /// Mean squared error of predicting the training split's mean.
    pub baseline_mse: f64,
}

/// Answer of `GET /v1/workers`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WorkersView {
    /// The workers, oldest first.
    pub workers: Vec<WorkerView>,
}

/// Answer of `GET /v1/status`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StatusView {
    /// Version of the coordinator.
    pub version: String,
    /// Its workers.
    pub workers: Vec<WorkerView>,
    /// Jobs waiting, by queue.
    pub queues: Vec<QueueView>,
    /// Dead letters on record.
    pub dead_letters: u64,
    /// The newest submissions and runs.
    pub submissions: Vec<SubmissionView>,
}

/// One queue's backlog.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QueueView {
    /// Its name.
    pub queue: String,
    /// Jobs no worker holds yet; absent when the queue does not exist yet.
    pub ready: Option<u32>,
}

/// An RFC 9457 problem.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// A word for the class of problem, as a relative URI.
    #[serde(rename = "type")]
    pub kind: String,
    /// The class in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What exactly was wrong.
    pub detail: String,
}
