//! What a run is made of: from embedded, labelled items to the plan, the samples and the scaling.
//!
//! Owns the choice of samples and their order (training, validation, test; each in manifest order), the
//! standardisation of features and target. Pure but for its arguments.

use common::{
    digest::Digest,
    embedding::{DIMENSIONS, Embedding, Space},
    ids::SubmissionId,
    training::protocol::{Head, RunPlan, Sample, Scaling, head_fingerprint},
};
use dataset::{
    manifest::ManifestItem,
    split::{SampleKey, Side, split},
    target::{Target, Transform},
};
use serde::{Deserialize, Serialize};

use super::metrics::mean;
use crate::server::runs::{LeftOutRecord, TrainingSettings};

/// What the coordinator must know of a run, beside its samples, to drive and to judge it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    pub(super) plan: RunPlan,
    pub(super) target: Target,
    pub(super) transform: Transform,
    pub(super) scale: TargetScale,
    /// Mean of the raw target over the training split: the baseline in raw units.
    pub(super) train_mean_raw: f64,
    /// Transformed targets of the validation split.
    pub(super) valid: Vec<f64>,
    /// Transformed targets of the test split.
    pub(super) test: Vec<f64>,
    /// Raw targets of the test split.
    pub(super) test_raw: Vec<f64>,
}

/// Mean and standard deviation of the transformed target over the training split; training sees
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

    /// Takes the standardisation back, in f64.
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
    /// Keeps of an item what names it and decides its side of the split: a run holds all of its items.
    pub(super) fn new(item: ManifestItem, sha256: Digest, label: f64) -> Self {
        let item = ManifestItem { channel: None, views: None, subscribers: None, ..item };
        Self { item, sha256, label }
    }
}

/// What items make when they are split.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct LaidOut {
    pub(super) setup: Setup,
    /// Training split, validation split, test split; each in manifest order.
    pub(super) samples: Vec<Sample>,
    /// All of them in manifest order, for people.
    pub(super) lines: Vec<SampleLine>,
}

/// A sample as the run's artifacts keep it, a line each.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct SampleLine {
    pub(super) item: String,
    pub(super) split: Side,
    pub(super) sha256: Digest,
    /// The target in raw units.
    pub(super) label: f64,
}

/// Why the items make no run.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub(super) enum SetupError {
    #[error("{0}")]
    Split(String),
    #[error(
        "the target {target} is {value} for all {samples} samples of the training split: nothing can be learnt"
    )]
    ConstantTarget { target: Target, value: f64, samples: usize },
}

/// Splits the items and lays them out as samples.
///
/// # Errors
/// When there are too few to split, or the target is constant over the training split.
pub(super) fn lay_out(
    items: &[LabelledItem],
    space: Space,
    settings: &TrainingSettings,
) -> Result<LaidOut, SetupError> {
    let keys: Vec<SampleKey<'_>> = items.iter().map(|item| SampleKey::of(&item.item)).collect();
    let sides = split(&keys, settings.split_by, settings.seed)
        .map_err(|error| SetupError::Split(error.to_string()))?;
    let on = |side: Side| items.iter().zip(&sides).filter(move |(_, at)| **at == side).map(|(item, _)| item);
    let raw = |side: Side| -> Vec<f64> { on(side).map(|item| item.label).collect() };
    let transformed =
        |side: Side| -> Vec<f64> { on(side).map(|item| settings.transform.apply(item.label)).collect() };

    let train = transformed(Side::Train);
    let scale = TargetScale::of(&train);
    if scale.std <= 1e-9 * scale.mean.abs().max(1e-9) {
        let value = raw(Side::Train)[0];
        return Err(SetupError::ConstantTarget { target: settings.target, value, samples: train.len() });
    }
    let samples = [Side::Train, Side::Valid, Side::Test]
        .into_iter()
        .flat_map(on)
        .map(|item| Sample {
            sha256: item.sha256,
            target: scale.standardise(settings.transform.apply(item.label)),
        })
        .collect();
    let count = |side: Side| sides.iter().filter(|at| **at == side).count() as u32;
    let plan = RunPlan {
        space,
        fingerprint: head_fingerprint(),
        leaves: settings.leaves,
        batch_size: settings.batch_size,
        seed: settings.seed,
        train: count(Side::Train),
        valid: count(Side::Valid),
        test: count(Side::Test),
    };
    let setup = Setup {
        plan,
        target: settings.target,
        transform: settings.transform,
        scale,
        train_mean_raw: mean(raw(Side::Train).into_iter()),
        valid: transformed(Side::Valid),
        test: transformed(Side::Test),
        test_raw: raw(Side::Test),
    };
    let lines = items.iter().zip(&sides).map(|(item, side)| SampleLine {
        item: item.item.item.clone(),
        split: *side,
        sha256: item.sha256,
        label: item.label,
    });
    Ok(LaidOut { setup, samples, lines: lines.collect() })
}

/// Counts the reasons for which items are left out, most frequent first.
pub(super) fn count_reasons(reasons: impl IntoIterator<Item = String>) -> Vec<LeftOutRecord> {
    let mut counts = std::collections::BTreeMap::<String, u64>::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let mut left_out: Vec<LeftOutRecord> =
        counts.into_iter().map(|(reason, items)| LeftOutRecord { reason, items }).collect();
    left_out.sort_by_key(|group| std::cmp::Reverse(group.items));
    left_out
}

/// Accumulates mean and variance of every feature over the training split, in f64 and in sample order.
pub(super) struct ScalingSum {
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl ScalingSum {
    pub(super) fn new() -> Self {
        Self { count: 0.0, mean: vec![0.0; DIMENSIONS], squares: vec![0.0; DIMENSIONS] }
    }

    /// Adds one embedding (Welford 1962: no cancellation, one pass).
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

    /// Ends the sum. A column that is constant, as far as f16 can tell, has scale 0 and is ignored.
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
