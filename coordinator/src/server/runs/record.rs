//! The stored records of a run: the `spec`, written once, and the document `report`, updated as the run progresses.
//!
//! Other versions of this program read their JSON, so fields are only added. `view` turns them into API types.

use common::digest::Digest;
use dataset::{
    split::SplitBy,
    target::{Target, Transform},
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::api::{RunRequest, number_or_null};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct RunSpec {
    pub(crate) dataset: Url,
    #[serde(rename = "request")]
    pub(crate) settings: TrainingSettings,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TrainingSettings {
    /// The dataset as in the request.
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

/// Progress and results of a run.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RunReport {
    /// Current work, as text.
    pub(crate) progress: String,
    /// Share of the work done, from 0 to 1.
    pub(crate) fraction: f64,
    pub(crate) split: Option<SplitRecord>,
    pub(crate) skipped: Vec<SkippedRecord>,
    pub(crate) epochs: Vec<EpochRecord>,
    pub(crate) best_epoch: Option<u32>,
    pub(crate) test: Option<TestRecord>,
    pub(crate) weights_sha256: Option<Digest>,
    pub(crate) space: Option<String>,
}

/// Number of samples in each split.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct SplitRecord {
    pub(crate) train: u64,
    pub(crate) valid: u64,
    pub(crate) test: u64,
}

/// Number of items that were not used, for one reason.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct SkippedRecord {
    pub(crate) reason: String,
    pub(crate) items: u64,
}

/// One epoch, with errors in transformed target units. Checkpoints have these too.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct EpochRecord {
    pub(crate) epoch: u32,
    #[serde(deserialize_with = "number_or_null")]
    pub(crate) train_mse: f64,
    #[serde(deserialize_with = "number_or_null")]
    pub(crate) valid_mse: f64,
    pub(crate) seconds: f64,
}

/// Metrics on the test split, in transformed target units except `raw`.
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
