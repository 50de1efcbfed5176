//! The standardisation of the target.

use serde::{Deserialize, Serialize};

use super::metrics::mean;

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
