//! The stored records of a run: the `spec`, written once, and the document `report`, updated as the run progresses.
//!
//! Other versions of this program read their JSON, so fields are only added. `view` turns them into API types.

use std::collections::BTreeMap;

use common::{digest::Digest, embedding::Space};
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
    /// The embedding space; `None` as long as it takes a live worker to decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) space: Option<Space>,
    /// Whether devices of one class are to compute all embeddings.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) uniform_hardware: bool,
}

impl RunSpec {
    pub(crate) fn new(dataset: Url, space: Option<Space>, request: RunRequest) -> Self {
        let (name, tags) = (request.name.clone(), request.tags.clone());
        let uniform_hardware = request.uniform_hardware;
        Self { dataset, settings: request.into(), name, tags, space, uniform_hardware }
    }
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
    /// `None`: by channel if possible, else by video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) split_by: Option<SplitBy>,
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
            space: _,
            uniform_hardware: _,
            name: _,
            tags: _,
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
    /// Estimated time to the end.
    pub(crate) remaining_seconds: Option<f64>,
    pub(crate) split: Option<SplitRecord>,
    pub(crate) grouping: Option<GroupingRecord>,
    pub(crate) skipped: Vec<SkippedRecord>,
    pub(crate) epochs: Vec<EpochRecord>,
    pub(crate) best_epoch: Option<u32>,
    pub(crate) test: Option<TestRecord>,
    pub(crate) weights_sha256: Option<Digest>,
    pub(crate) space: Option<String>,
    pub(crate) features_sha256: Option<Digest>,
    /// Whether the embeddings are those of random weights.
    pub(crate) random_weights: bool,
}

impl RunReport {
    /// Makes metrics of a single test sample undefined: earlier versions recorded zero.
    pub(crate) fn with_defined_metrics(mut self) -> Self {
        if let (Some(SplitRecord { test: 0 | 1, .. }), Some(test)) = (self.split, &mut self.test) {
            (test.r2, test.spearman) = (f64::NAN, f64::NAN);
        }
        self
    }
}

/// Number of samples in each split.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct SplitRecord {
    pub(crate) train: u64,
    pub(crate) valid: u64,
    pub(crate) test: u64,
}

/// How the samples were grouped for the split, and what its parts have in common.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct GroupingRecord {
    pub(crate) split_by: SplitBy,
    /// Why it is not by channel, if that was not requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fallback: Option<String>,
    pub(crate) groups: u64,
    pub(crate) channels: u64,
    pub(crate) divided_channels: u64,
    pub(crate) images: u64,
    pub(crate) divided_images: u64,
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

impl TestRecord {
    /// Returns test MSE ÷ baseline MSE; `None` if it is undefined or not finite.
    pub(crate) fn ratio(&self) -> Option<f64> {
        (self.baseline_mse > 0.0).then(|| self.mse / self.baseline_mse).filter(|ratio| ratio.is_finite())
    }
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
        let spec = RunSpec::new(dataset.clone(), None, request.clone());
        let json = serde_json::to_value(&spec).unwrap();
        assert_eq!(json["request"], serde_json::to_value(&request).unwrap());
        assert_eq!(serde_json::from_value::<RunSpec>(json).unwrap(), spec);
        let named = RunRequest {
            name: Some("wide".to_owned()),
            tags: [("a".to_owned(), "b".to_owned())].into(),
            ..request
        };
        let spec = RunSpec::new(dataset, None, named);
        let json = serde_json::to_value(&spec).unwrap();
        assert_eq!(
            (&json["name"], &json["tags"]["a"], &json["request"]["name"]),
            (&"wide".into(), &"b".into(), &().into())
        );
        assert_eq!(serde_json::from_value::<RunSpec>(json).unwrap(), spec);
        let infinite = EpochRecord { epoch: 1, train_mse: f64::INFINITY, valid_mse: 1.0, seconds: 0.5 };
        let json = serde_json::to_string(&infinite).unwrap();
        assert_eq!(json, r#"{"epoch":1,"train_mse":null,"valid_mse":1.0,"seconds":0.5}"#);
        assert!(serde_json::from_str::<EpochRecord>(&json).unwrap().train_mse.is_nan());
    }

    #[test]
    fn runs_of_earlier_versions_keep_their_split() {
        let spec = r#"{"dataset":"file:///d/","request":{"dataset":"/d","split_by":"video"}}"#;
        let spec: RunSpec = serde_json::from_str(spec).unwrap();
        assert_eq!(spec.settings.split_by, Some(SplitBy::Video));
        let report: RunReport = serde_json::from_str(r#"{"split":{"train":3,"valid":1,"test":1}}"#).unwrap();
        assert_eq!(report.grouping, None);
    }

    #[test]
    fn metrics_of_one_sample_are_undefined_in_reports_of_earlier_versions() {
        let of = |samples: u64| {
            let report = format!(
                r#"{{"split":{{"train":3,"valid":1,"test":{samples}}},
                "test":{{"mse":1,"mae":1,"r2":0,"spearman":0,"baseline_mse":1,"raw":{{"mse":1,"mae":1,"baseline_mse":1}}}}}}"#
            );
            let report: RunReport = serde_json::from_str(&report).unwrap();
            report.with_defined_metrics().test.unwrap()
        };
        assert!(of(1).r2.is_nan() && of(1).spearman.is_nan());
        assert_eq!((of(2).r2, of(2).spearman), (0.0, 0.0));
    }

    #[test]
    fn ratio_is_undefined_without_a_finite_baseline() {
        let raw = RawErrors { mse: 1.0, mae: 1.0, baseline_mse: 1.0 };
        let record = |mse, baseline_mse| TestRecord {
            mse,
            mae: 1.0,
            r2: 0.0,
            spearman: 0.0,
            baseline_mse,
            raw: raw.clone(),
        };
        assert_eq!(record(1.0, 2.0).ratio(), Some(0.5));
        for (mse, baseline) in
            [(1.0, 0.0), (0.0, 0.0), (f64::INFINITY, 1.0), (f64::NAN, 1.0), (1.0, f64::NAN)]
        {
            assert_eq!(record(mse, baseline).ratio(), None, "{mse} {baseline}");
        }
    }
}
