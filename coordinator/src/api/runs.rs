//! Training runs and what they leave.

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
    pub skipped: Vec<Skipped>,
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
pub struct Skipped {
    /// Why.
    pub reason: String,
    /// How many.
    pub items: u64,
}

/// JSON has no word for an infinite number, or for none: both are written as null, and read back as NaN.
pub(crate) fn number_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// One epoch. Errors are in transformed target units; null where a number cannot hold them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EpochReport {
    /// From 1.
    pub epoch: u32,
    /// Mean squared error over the training batches, each before its step.
    #[serde(deserialize_with = "number_or_null")]
    pub train_mse: f64,
    /// Mean squared error on the validation split after the epoch.
    #[serde(deserialize_with = "number_or_null")]
    pub valid_mse: f64,
    /// Wall time of the epoch, its evaluation included.
    pub seconds: f64,
}

/// Metrics on the test split, in transformed target units but for `raw`; null where a number cannot hold them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TestReport {
    /// Mean squared error.
    #[serde(deserialize_with = "number_or_null")]
    pub mse: f64,
    /// Mean absolute error.
    #[serde(deserialize_with = "number_or_null")]
    pub mae: f64,
    /// Coefficient of determination against the test split's own mean.
    #[serde(deserialize_with = "number_or_null")]
    pub r2: f64,
    /// Spearman's rank correlation.
    #[serde(deserialize_with = "number_or_null")]
    pub spearman: f64,
    /// Mean squared error of predicting the training split's mean.
    #[serde(deserialize_with = "number_or_null")]
    pub baseline_mse: f64,
    /// The same in the target's raw units.
    pub raw: RawReport,
}

/// Metrics in the target's raw units.
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

/// One sample of a run, in the order of its manifest: a line of `GET /v1/runs/{id}/split`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SampleView {
    /// The item.
    pub item: String,
    /// Its side.
    pub split: Split,
    /// SHA-256 of the image.
    pub sha256: Digest,
    /// Its target in raw units.
    pub label: f64,
}

/// One test sample with its prediction: a line of `GET /v1/runs/{id}/predictions`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TestedView {
    /// The item.
    pub item: String,
    /// The prediction, in the target's raw units.
    pub prediction: f64,
    /// The target, in raw units.
    pub label: f64,
    /// What was predicted.
    pub target: Target,
}

/// A run's head, as `GET /v1/runs/{id}/head` shows it: `weight · embedding + bias` is the target in
/// transformed units, the standardisation of features and target folded in.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HeadView {
    /// The run.
    pub run: SubmissionId,
    /// Space of the embeddings it takes.
    pub space: String,
    /// What it predicts.
    pub target: Target,
    /// How the target is transformed.
    pub transform: Transform,
    /// Mean of the transformed target over the training split.
    pub target_mean: f64,
    /// Its standard deviation there.
    pub target_std: f64,
    /// 512 weights.
    pub weight: Vec<f32>,
    /// The bias.
    pub bias: f32,
    /// SHA-256 of weights and bias as little-endian f32.
    pub weights_sha256: Digest,
}
