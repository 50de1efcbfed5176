//! The stored records of a run: `spec`, which is written once, and the document `report`, which grows with it.
//!
//! Owns their JSON, which other versions of this program read: it grows additively. Does not own what the API
//! shows, which is made from these (see `view`).

use common::digest::Digest;
use dataset::{
    split::SplitBy,
    target::{Target, Transform},
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::api::{RunRequest, number_or_null};

/// A run as it was asked for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct RunSpec {
    pub(crate) dataset: Url,
    #[serde(rename = "request")]
    pub(crate) settings: TrainingSettings,
}

/// What to train, and how.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TrainingSettings {
    /// The dataset as the caller named it.
    pub(crate) dataset: String,
    pub(crate) target: Target,
    pub(crate) transform: Transform,
    pub(crate) epochs: u32,
    pub(crate) batch_size: u32,
    pub(crate) learning_rate: f64,
    pub(crate) seed: u64,
    pub(crate) split_by: SplitBy,
    pub(crate) leaves: u32,
}

impl Default for TrainingSettings {
    fn default() -> Self {
        RunRequest::default().into()
    }
}

impl From<RunRequest> for TrainingSettings {
    fn from(request: RunRequest) -> Self {
        let RunRequest {
            dataset,
            target,
            transform,
            epochs,
            batch_size,
            learning_rate,
            seed,
            split_by,
            leaves,
        } = request;
        Self { dataset, target, transform, epochs, batch_size, learning_rate, seed, split_by, leaves }
    }
}

/// What a run has come to.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RunReport {
    /// What it is doing, in a few words.
    pub(crate) progress: String,
    pub(crate) fraction: f64,
    pub(crate) split: Option<SplitRecord>,
    pub(crate) skipped: Vec<SkippedRecord>,
    pub(crate) epochs: Vec<EpochRecord>,
    pub(crate) best_epoch: Option<u32>,
    pub(crate) test: Option<TestRecord>,
    pub(crate) weights_sha256: Option<Digest>,
    pub(crate) space: Option<String>,
}

/// Samples on each side of the split.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct SplitRecord {
    pub(crate) train: u64,
    pub(crate) valid: u64,
    pub(crate) test: u64,
}

/// Items that cannot be samples, for one reason.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct SkippedRecord {
    pub(crate) reason: String,
    pub(crate) items: u64,
}

/// One epoch, with errors in transformed target units. Also part of a checkpoint.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct EpochRecord {
    pub(crate) epoch: u32,
    #[serde(deserialize_with = "number_or_null")]
    pub(crate) train_mse: f64,
    #[serde(deserialize_with = "number_or_null")]
    pub(crate) valid_mse: f64,
    pub(crate) seconds: f64,
}

/// Metrics on the test split, in transformed target units but for `raw`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct TestRecord {
    #[serde(deserialize_with = "number_or_null")]
    pub(crate) mse: f64,
    #[serde(deserialize_with = "number_or_null")]
    pub(crate) mae: f64,
    #[serde(deserialize_with = "number_or_null")]
    pub(crate) r2: f64,
    #[serde(deserialize_with = "number_or_null")]
    pub(crate) spearman: f64,
    #[serde(deserialize_with = "number_or_null")]
    pub(crate) baseline_mse: f64,
    pub(crate) raw: RawErrors,
}

/// Errors in the target's raw units.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct RawErrors {
    #[serde(deserialize_with = "number_or_null")]
    pub(crate) mse: f64,
    #[serde(deserialize_with = "number_or_null")]
    pub(crate) mae: f64,
    #[serde(deserialize_with = "number_or_null")]
    pub(crate) baseline_mse: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_keep_their_json() {
        let request = RunRequest { dataset: "/data/set".to_owned(), ..RunRequest::default() };
        let dataset = Url::parse("file:///data/set/").unwrap();
        let spec = RunSpec { dataset, settings: request.clone().into() };
        let json = serde_json::to_value(&spec).unwrap();
        assert_eq!(json["request"], serde_json::to_value(&request).unwrap());
        assert_eq!(serde_json::from_value::<RunSpec>(json).unwrap(), spec);
        let infinite = EpochRecord { epoch: 1, train_mse: f64::INFINITY, valid_mse: 1.0, seconds: 0.5 };
        let json = serde_json::to_string(&infinite).unwrap();
        assert_eq!(json, r#"{"epoch":1,"train_mse":null,"valid_mse":1.0,"seconds":0.5}"#);
        assert!(serde_json::from_str::<EpochRecord>(&json).unwrap().train_mse.is_nan());
    }
}
