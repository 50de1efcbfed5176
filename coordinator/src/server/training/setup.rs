//! From embedded, labelled items to a run's plan, samples and scaling.
//!
//! Owns the selection and order of samples (training, validation, test; each in manifest order) and the standardisation
//! of features and target. Pure.

use common::{
    digest::Digest,
    embedding::{DIMENSIONS, Embedding, Space},
    ids::SubmissionId,
    training::protocol::{Head, RunPlan, Sample, Scaling, head_fingerprint},
};
use dataset::{
    manifest::ManifestItem,
    split::{Assignment, Fallback, Leakage, SampleKey, Split, split},
    target::{Target, Transform},
};
use serde::{Deserialize, Serialize};

use super::metrics::mean;
use crate::server::runs::{GroupingRecord, SkippedRecord, TrainingSettings};

/// A prepared run: the plan, and the targets that evaluation needs.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    pub(super) plan: RunPlan,
    pub(super) target: Target,
    pub(super) transform: Transform,
    pub(super) scale: TargetScale,
    /// Mean of the raw target over the training split: the baseline's prediction in raw units.
    pub(super) train_mean_raw: f64,
    /// Transformed targets of the validation split.
    pub(super) valid: Vec<f64>,
    /// Transformed targets of the test split.
    pub(super) test: Vec<f64>,
    /// Raw targets of the test split.
    pub(super) test_raw: Vec<f64>,
}

/// Mean and standard deviation of the transformed target over the training split. The head is trained on
/// `(target - mean) / std`.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct TargetScale {
    pub(super) mean: f64,
    pub(super) std: f64,
}

impl TargetScale {
    pub(super) fn of(targets: &[f64]) -> Self {
        let center = mean(targets.iter().copied());
        let variance = mean(targets.iter().map(|t| (t - center) * (t - center)));
        Self { mean: center, std: variance.sqrt() }
    }

    pub(super) fn standardise(self, target: f64) -> f32 {
        ((target - self.mean) / self.std) as f32
    }

    /// Inverts the standardisation, in f64.
    pub(super) fn restore(self, standardised: &[f32]) -> Vec<f64> {
        standardised.iter().map(|value| f64::from(*value) * self.std + self.mean).collect()
    }
}

/// An item that can be a sample: it has an embedding and a label.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct LabelledItem {
    pub(super) item: ManifestItem,
    pub(super) sha256: Digest,
    pub(super) label: f64,
}

impl LabelledItem {
    /// Drops the fields that neither identify the item nor decide its split, since all items are in memory at once.
    pub(super) fn new(item: ManifestItem, sha256: Digest, label: f64) -> Self {
        let item = ManifestItem { views: None, subscribers: None, ..item };
        Self { item, sha256, label }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct PreparedRun {
    pub(super) setup: Setup,
    pub(super) grouping: GroupingRecord,
    /// Training split, validation split, test split; each in manifest order.
    pub(super) samples: Vec<Sample>,
    /// All samples in manifest order, for the artifacts.
    pub(super) lines: Vec<SampleLine>,
}

/// A line of the samples artifact.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct SampleLine {
    pub(super) item: String,
    pub(super) split: Split,
    pub(super) sha256: Digest,
    /// The target in raw units.
    pub(super) label: f64,
}

/// Why items cannot be trained on.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub(super) enum SetupError {
    #[error("{0}")]
    Split(String),
    #[error(
        "the target {target} is {value} for all {samples} samples of the training split: there is nothing \
         to learn"
    )]
    ConstantTarget { target: Target, value: f64, samples: usize },
}

/// Splits the items, standardises the target and makes the plan.
///
/// # Errors
/// If there are too few items to split, or the target is constant over the training split.
pub(super) fn prepare_run(
    items: &[LabelledItem],
    space: Space,
    settings: &TrainingSettings,
) -> Result<PreparedRun, SetupError> {
    let keys: Vec<SampleKey<'_>> = items.iter().map(|item| SampleKey::of(&item.item, item.sha256)).collect();
    let assignment = split(&keys, settings.split_by, settings.seed)
        .map_err(|error| SetupError::Split(error.to_string()))?;
    let grouping = grouping(&keys, &assignment);
    let splits = assignment.splits;
    let items_of =
        |split: Split| items.iter().zip(&splits).filter(move |(_, of)| **of == split).map(|(item, _)| item);
    let raw = |split: Split| -> Vec<f64> { items_of(split).map(|item| item.label).collect() };
    let transformed = |split: Split| -> Vec<f64> {
        items_of(split).map(|item| settings.transform.apply(item.label)).collect()
    };

    let train = transformed(Split::Train);
    let scale = TargetScale::of(&train);
    if scale.std <= 1e-9 * scale.mean.abs().max(1e-9) {
        let value = raw(Split::Train)[0];
        return Err(SetupError::ConstantTarget { target: settings.target, value, samples: train.len() });
    }
    let samples = [Split::Train, Split::Valid, Split::Test]
        .into_iter()
        .flat_map(items_of)
        .map(|item| Sample {
            sha256: item.sha256,
            target: scale.standardise(settings.transform.apply(item.label)),
        })
        .collect();
    let count = |split: Split| splits.iter().filter(|of| **of == split).count() as u32;
    let plan = RunPlan {
        space,
        fingerprint: head_fingerprint(),
        leaves: settings.leaves,
        batch_size: settings.batch_size,
        seed: settings.seed,
        train: count(Split::Train),
        valid: count(Split::Valid),
        test: count(Split::Test),
    };
    let setup = Setup {
        plan,
        target: settings.target,
        transform: settings.transform,
        scale,
        train_mean_raw: mean(raw(Split::Train).into_iter()),
        valid: transformed(Split::Valid),
        test: transformed(Split::Test),
        test_raw: raw(Split::Test),
    };
    let lines = items.iter().zip(&splits).map(|(item, split)| SampleLine {
        item: item.item.item.clone(),
        split: *split,
        sha256: item.sha256,
        label: item.label,
    });
    Ok(PreparedRun { setup, grouping, samples, lines: lines.collect() })
}

fn grouping(keys: &[SampleKey<'_>], assignment: &Assignment) -> GroupingRecord {
    let fallback = assignment.fallback.map(|fallback| match fallback {
        Fallback::NoChannels => "split by video: no row has a channel_id or a channel".to_owned(),
        Fallback::FewChannels { channels } => format!(
            "split by video: a 60/20/20 split needs more or smaller channels than the {channels} of the dataset"
        ),
    });
    let Leakage { channels, divided_channels, images, divided_images } =
        Leakage::of(keys, &assignment.splits);
    GroupingRecord {
        split_by: assignment.by,
        fallback,
        groups: assignment.groups as u64,
        channels: channels as u64,
        divided_channels: divided_channels as u64,
        images: images as u64,
        divided_images: divided_images as u64,
    }
}

/// Counts items by the reason for which they were skipped, most frequent first.
pub(super) fn count_reasons(reasons: impl IntoIterator<Item = String>) -> Vec<SkippedRecord> {
    let mut counts = std::collections::BTreeMap::<String, u64>::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let mut skipped: Vec<SkippedRecord> =
        counts.into_iter().map(|(reason, items)| SkippedRecord { reason, items }).collect();
    skipped.sort_by_key(|skipped| std::cmp::Reverse(skipped.items));
    skipped
}

/// Accumulates mean and variance of each feature over the training split, in f64 and in sample order.
pub(super) struct ScalingSum {
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl ScalingSum {
    pub(super) fn new() -> Self {
        Self { count: 0.0, mean: vec![0.0; DIMENSIONS], squares: vec![0.0; DIMENSIONS] }
    }

    /// Adds one embedding (Welford 1962: one pass, without cancellation).
    pub(super) fn add(&mut self, embedding: &Embedding) {
        self.count += 1.0;
        for ((mean, squares), feature) in self.mean.iter_mut().zip(&mut self.squares).zip(embedding.to_f32())
        {
            let feature = f64::from(feature);
            let delta = feature - *mean;
            *mean += delta / self.count;
            *squares += delta * (feature - *mean);
        }
    }

    /// Returns the scaling. A feature that is constant at f16 precision gets scale 0, which ignores it.
    pub(super) fn finish(self) -> Scaling {
        let scale = self.mean.iter().zip(&self.squares).map(|(mean, squares)| {
            let std = (squares / self.count).sqrt();
            if std > 1e-6 * mean.abs().max(1e-6) { (1.0 / std) as f32 } else { 0.0 }
        });
        Scaling { scale: scale.collect(), mean: self.mean.iter().map(|mean| *mean as f32).collect() }
    }
}

/// Folds the standardisation of features and target into the parameters, in f64.
pub(super) fn fold(run: SubmissionId, parameters: &[f32], scaling: &Scaling, setup: &Setup) -> Head {
    let (weights, bias) = parameters.split_at(DIMENSIONS);
    let mut shift = f64::from(bias[0]);
    let weight = weights
        .iter()
        .zip(scaling.mean.iter().zip(&scaling.scale))
        .map(|(weight, (mean, scale))| {
            let slope = f64::from(*weight) * f64::from(*scale);
            shift -= slope * f64::from(*mean);
            (slope * setup.scale.std) as f32
        })
        .collect();
    Head {
        run,
        space: setup.plan.space.clone(),
        target: setup.target.to_string(),
        transform: setup.transform.to_string(),
        weight,
        bias: (shift * setup.scale.std + setup.scale.mean) as f32,
    }
}
