//! Training runs and their artifacts.

use std::collections::BTreeMap;

use common::{digest::Digest, ids::SubmissionId, store::State};
use dataset::{
    split::{Split, SplitBy},
    target::{Target, Transform},
};
use serde::{Deserialize, Deserializer, Serialize};

/// `POST /v1/runs`: what to train.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunRequest {
    /// Absolute path or URI of a dataset under one of the server's dataset roots.
    pub dataset: String,
    pub target: Target,
    /// Applied to the target before training.
    pub transform: Transform,
    pub epochs: u32,
    /// Global batch size: samples of one step, over all workers.
    pub batch_size: u32,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// Seed of the split and of the sample order.
    pub seed: u64,
    /// Unit that is kept in one split: a video, or a whole channel. Default: a channel if the rows have channels and these
    /// can be split 60/20/20, else a video. Rows with the same image are always in one split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_by: Option<SplitBy>,
    /// Embedding space. Default: that of most live workers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// Whether only devices of one class compute embeddings: the class of most live workers of the space. They are in a
    /// space of their own, `SPACE@CLASS`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub uniform_hardware: bool,
    /// Leaves of the tree that gradients are summed over; fixes the order of floating-point sums.
    pub leaves: u32,
    /// 1 to 100 characters; need not be unique.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// At most 20. Keys have 1 to 64 characters without `=`, values at most 256.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

impl RunRequest {
    /// Limit of the length of a name, in characters.
    pub const MAX_NAME: usize = 100;
    pub const MAX_TAGS: usize = 20;
    /// Limit of the length of a tag's key, in characters.
    pub const MAX_TAG_KEY: usize = 64;
    /// Limit of the length of a tag's value, in characters.
    pub const MAX_TAG_VALUE: usize = 256;
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
            split_by: None,
            space: None,
            uniform_hardware: false,
            leaves: 16,
            name: None,
            tags: BTreeMap::new(),
        }
    }
}

/// A run as `GET /v1/runs/{id}` shows it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RunView {
    pub run: SubmissionId,
    pub state: State,
    /// Current work, as text: `embedding 640 of 3200 images`, `epoch 3 of 10, step 12 of 39`, with the errors of the last
    /// epoch and the remaining time.
    pub progress: String,
    /// Share of the work done, from 0 to 1.
    pub fraction: f64,
    /// Estimated time to the end, while the run is in progress.
    #[serde(default)]
    pub remaining_seconds: Option<f64>,
    /// Creation, in Unix milliseconds.
    #[serde(default)]
    pub created_ms: u64,
    pub request: RunRequest,
    /// Present once the dataset is split.
    pub split: Option<SplitCounts>,
    /// Present once the dataset is split; absent for runs of versions that did not record it.
    #[serde(default)]
    pub grouping: Option<Grouping>,
    /// Rows that were not used, by reason.
    pub skipped: Vec<Skipped>,
    /// Completed epochs.
    pub epochs: Vec<EpochReport>,
    /// The epoch with the lowest validation error, whose parameters the head has.
    pub best_epoch: Option<u32>,
    /// Present once the run has succeeded.
    pub test: Option<TestReport>,
    /// Test MSE ÷ baseline MSE; null before the test, or if it is not a finite number.
    #[serde(default)]
    pub ratio: Option<f64>,
    /// What to know before relying on the run's metrics and predictions.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Why this run is `latest` or `best`, if it was requested by that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<String>,
    /// SHA-256 of the head: `fc.weight`, then `fc.bias`, little-endian f32. A run that was cancelled or failed has the head
    /// of its best epoch so far.
    pub weights_sha256: Option<Digest>,
    /// Embedding space of the samples.
    pub space: Option<String>,
    /// SHA-256 of the samples' embeddings, of which the head is a function: of each in the order of the samples, the image's
    /// SHA-256, then 512 little-endian f16. Absent before the dataset is split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features_sha256: Option<Digest>,
    /// Whether the embeddings are those of random weights.
    #[serde(default)]
    pub random_weights: bool,
    /// From creation to the end, or to now.
    pub elapsed_seconds: f64,
    /// Why the run failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Number of samples in each split.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SplitCounts {
    pub train: u64,
    pub valid: u64,
    pub test: u64,
}

/// Query of `GET /v1/runs/{id}`, for the names `latest` and `best`.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunParams {
    /// Only runs of this target. Default: any target for `latest`, views per subscriber for `best`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
}

/// How samples were grouped for the split, and what the training, validation and test splits have in common.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Grouping {
    /// Unit that was kept in one split.
    pub split_by: SplitBy,
    /// Number of groups: channels or videos, joined if they share an image.
    pub groups: u64,
    /// Number of different channels.
    pub channels: u64,
    /// Channels with samples in more than one split; 0 if split by channel.
    pub divided_channels: u64,
    /// Number of different images.
    pub images: u64,
    /// Images, byte for byte, in more than one split; 0 by construction.
    pub divided_images: u64,
}

/// Rows that a run did not use, for one reason.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Skipped {
    pub reason: String,
    /// Number of rows.
    pub items: u64,
}

/// Reads null as NaN: JSON cannot represent infinities and NaN, and `serde_json` writes both as null.
pub(crate) fn number_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// One epoch. Errors are in transformed target units; null if not finite.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EpochReport {
    /// Counted from 1.
    pub epoch: u32,
    /// Mean squared error over the training batches, each computed before its step.
    #[serde(deserialize_with = "number_or_null")]
    pub train_mse: f64,
    /// Mean squared error on the validation split after the epoch.
    #[serde(deserialize_with = "number_or_null")]
    pub valid_mse: f64,
    /// Wall-clock time of the epoch, including validation.
    pub seconds: f64,
}

/// Metrics on the test split, in transformed target units except `raw`; null if not finite.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TestReport {
    /// Mean squared error.
    #[serde(deserialize_with = "number_or_null")]
    pub mse: f64,
    /// Mean absolute error.
    #[serde(deserialize_with = "number_or_null")]
    pub mae: f64,
    /// Coefficient of determination, relative to the mean of the test split; null if its labels do not differ.
    #[serde(deserialize_with = "number_or_null")]
    pub r2: f64,
    /// Spearman's rank correlation; null if labels or predictions do not differ.
    #[serde(deserialize_with = "number_or_null")]
    pub spearman: f64,
    /// Mean squared error of predicting the training split's mean.
    #[serde(deserialize_with = "number_or_null")]
    pub baseline_mse: f64,
    pub raw: RawReport,
}

/// Metrics in the target's raw units. Predictions below zero count as zero.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RawReport {
    /// Mean squared error.
    #[serde(deserialize_with = "number_or_null")]
    pub mse: f64,
    /// Mean absolute error.
    #[serde(deserialize_with = "number_or_null")]
    pub mae: f64,
    /// Mean squared error of predicting the training split's mean.
    #[serde(deserialize_with = "number_or_null")]
    pub baseline_mse: f64,
}

/// One sample of a run, in manifest order: a line of `GET /v1/runs/{id}/split`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SampleView {
    pub item: String,
    pub split: Split,
    /// SHA-256 of the image.
    pub sha256: Digest,
    /// The actual value of the target, in raw units.
    pub label: f64,
}

/// One test sample with its prediction: a line of `GET /v1/runs/{id}/predictions`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TestPredictionView {
    pub item: String,
    /// The predicted value of the target, in raw units; null if it exceeds the range of numbers.
    #[serde(deserialize_with = "number_or_null")]
    pub prediction: f64,
    /// The actual value of the target, in raw units.
    pub label: f64,
    pub target: Target,
}

/// A run's head, as `GET /v1/runs/{id}/head` shows it. `weight · embedding + bias` predicts the target in transformed
/// units; the standardisation of features and target is folded into both.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HeadView {
    pub run: SubmissionId,
    /// Embedding space that the head takes as input.
    pub space: String,
    pub target: Target,
    pub transform: Transform,
    /// Mean of the transformed target over the training split.
    pub target_mean: f64,
    /// Standard deviation of the transformed target over the training split.
    pub target_std: f64,
    /// Shape `[512]`.
    pub weight: Vec<f32>,
    pub bias: f32,
    /// SHA-256 of `weight`, then `bias`, little-endian f32.
    pub weights_sha256: Digest,
}
