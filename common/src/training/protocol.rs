//! The training protocol: what the coordinator and the workers of a run exchange through the store.
//!
//! Owns the run's plan, the layout of its samples, and the results of its jobs. Workers compute gradients; the
//! coordinator averages them and applies the optimizer.
//! Invariant: all numbers are little-endian and round-trip bit for bit.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    embedding::{DIMENSIONS, Space},
    ids::SubmissionId,
};

/// The pass that a train-epoch job belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// A training step: the result is a gradient sum.
    Train,
    /// Evaluation on the validation split: the result is predictions.
    Valid,
    /// Evaluation on the test split: the result is predictions.
    Test,
}

/// Parameters of a linear head: one weight per dimension, then the bias.
pub const HEAD_PARAMETERS: usize = DIMENSIONS + 1;

/// The fingerprint of head gradients: scalar f32 in a fixed order, the same on every machine. A change that
/// alters the results needs a new fingerprint.
#[must_use]
pub fn head_fingerprint() -> Fingerprint {
    Fingerprint("head-f32-1".to_owned())
}

/// What a worker needs to know about a run, apart from its samples. Immutable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunPlan {
    /// Space of the embeddings.
    pub space: Space,
    /// Arithmetic of the gradients; part of the run's queue name.
    pub fingerprint: Fingerprint,
    /// Leaves of the reduction tree.
    pub leaves: u32,
    /// Global batch size; the last step of an epoch may have fewer samples.
    pub batch_size: u32,
    /// Seed of the sample order.
    pub seed: u64,
    /// Samples of the training split: the first ones.
    pub train: u32,
    /// Samples of the validation split: the next ones.
    pub valid: u32,
    /// Samples of the test split: the last ones.
    pub test: u32,
}

impl RunPlan {
    /// Steps in one epoch; the last one may be short.
    #[must_use]
    pub fn steps(&self) -> u32 {
        self.train.div_ceil(self.batch_size)
    }

    /// Positions of the step's samples, in the epoch's order.
    #[must_use]
    pub fn step_range(&self, step: u32) -> std::ops::Range<usize> {
        let start = u64::from(step) * u64::from(self.batch_size);
        let end = (start + u64::from(self.batch_size)).min(u64::from(self.train));
        start as usize..end as usize
    }

    /// Samples in one pass, over all nodes.
    #[must_use]
    pub fn pass_items(&self, phase: Phase, step: u32) -> usize {
        match phase {
            Phase::Train => self.step_range(step).len(),
            Phase::Valid => self.valid as usize,
            Phase::Test => self.test as usize,
        }
    }
}

/// One sample of a run.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sample {
    /// SHA-256 of the image.
    pub sha256: Digest,
    /// Transformed, then standardised target.
    pub target: f32,
}

/// Bytes of one encoded sample.
const SAMPLE_BYTES: usize = 36;

/// Encodes samples, 36 bytes each: the training split, then validation, then test.
#[must_use]
pub fn encode_samples(samples: &[Sample]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(samples.len() * SAMPLE_BYTES);
    for sample in samples {
        bytes.extend_from_slice(&sample.sha256.0);
        bytes.extend_from_slice(&sample.target.to_le_bytes());
    }
    bytes
}

/// Decodes samples; `None` if the length is not a multiple of 36.
#[must_use]
pub fn decode_samples(bytes: &[u8]) -> Option<Vec<Sample>> {
    if !bytes.len().is_multiple_of(SAMPLE_BYTES) {
        return None;
    }
    let decode = |sample: &[u8]| {
        let (digest, target) = sample.split_at(32);
        Some(Sample {
            sha256: Digest(digest.try_into().ok()?),
            target: f32::from_le_bytes(target.try_into().ok()?),
        })
    };
    bytes.chunks_exact(SAMPLE_BYTES).map(decode).collect()
}

/// How features are standardised: `(feature - mean) * scale`; a constant column has scale 0.
#[derive(Clone, PartialEq, Debug)]
pub struct Scaling {
    /// Mean over the training split, by feature.
    pub mean: Vec<f32>,
    /// 1 / standard deviation, or 0, by feature.
    pub scale: Vec<f32>,
}

impl Scaling {
    /// Encodes the means, then the scales.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode_f32(self.mean.iter().chain(&self.scale))
    }

    /// `None` if the length is wrong.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut mean = decode_f32(bytes).filter(|values| values.len() == 2 * DIMENSIONS)?;
        let scale = mean.split_off(DIMENSIONS);
        Some(Self { mean, scale })
    }
}

/// Sums over some samples.
#[derive(Clone, PartialEq, Debug)]
pub struct GradientSum {
    /// Sum of the gradients of the squared error, [`HEAD_PARAMETERS`] values.
    pub gradient: Vec<f32>,
    /// Sum of the squared errors.
    pub squared_error: f64,
}

impl GradientSum {
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.squared_error.is_finite() && self.gradient.iter().all(|value| value.is_finite())
    }

    #[must_use]
    pub fn zero() -> Self {
        Self { gradient: vec![0.0; HEAD_PARAMETERS], squared_error: 0.0 }
    }

    /// Adds `other` element by element.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        for (sum, value) in self.gradient.iter_mut().zip(&other.gradient) {
            *sum += value;
        }
        self.squared_error += other.squared_error;
        self
    }

    /// Encodes the gradient, then the squared error.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = encode_f32(&self.gradient);
        bytes.extend_from_slice(&self.squared_error.to_le_bytes());
        bytes
    }

    /// `None` if the length is wrong.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (gradient, squared_error) = bytes.split_last_chunk::<8>()?;
        let gradient = decode_f32(gradient).filter(|values| values.len() == HEAD_PARAMETERS)?;
        Some(Self { gradient, squared_error: f64::from_le_bytes(*squared_error) })
    }
}

/// A trained head with the standardisation folded in: it maps an embedding to the transformed target.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Head {
    pub run: SubmissionId,
    /// Space of its input embeddings.
    pub space: Space,
    /// The target, such as `views-per-subscriber`.
    pub target: String,
    /// The transform to invert, such as `log1p`.
    pub transform: String,
    /// `fc.weight`, one row of 512.
    #[serde(with = "hex_f32")]
    pub weight: Vec<f32>,
    /// `fc.bias`.
    pub bias: f32,
}

impl Head {
    /// SHA-256 of `fc.weight`, then `fc.bias`, little-endian.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&encode_f32(self.weight.iter().chain([&self.bias])))
    }

    /// Predicts the transformed target of one embedding.
    #[must_use]
    pub fn apply(&self, features: &[f32]) -> f64 {
        let products = self.weight.iter().zip(features).map(|(w, x)| f64::from(*w) * f64::from(*x));
        products.sum::<f64>() + f64::from(self.bias)
    }
}

#[must_use]
pub fn encode_f32<'a>(values: impl IntoIterator<Item = &'a f32>) -> Vec<u8> {
    values.into_iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// `None` if the length is not a multiple of 4.
#[must_use]
pub fn decode_f32(bytes: &[u8]) -> Option<Vec<f32>> {
    let (values, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| values.iter().map(|value| f32::from_le_bytes(*value)).collect())
}

/// Serialises f32 as hexadecimal digits of their bytes, so that they round-trip bit for bit.
pub mod hex_f32 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(super::encode_f32(values)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = hex::decode(text).map_err(D::Error::custom)?;
        super::decode_f32(&bytes).ok_or_else(|| D::Error::custom("the length is not a multiple of 4 bytes"))
    }
}

/// Identifies the arithmetic of a gradient: workers with the same fingerprint compute the same bits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub String);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_step_may_be_short() {
        let plan = RunPlan {
            space: Space("s".to_owned()),
            fingerprint: head_fingerprint(),
            leaves: 16,
            batch_size: 50,
            seed: 0,
            train: 1920,
            valid: 640,
            test: 640,
        };
        assert_eq!(plan.steps(), 39);
        assert_eq!(plan.step_range(38), 1900..1920);
        assert_eq!(plan.pass_items(Phase::Train, 0), 50);
        assert_eq!(plan.pass_items(Phase::Test, 0), 640);
    }

    proptest! {
        #[test]
        fn samples_round_trip(targets in prop::collection::vec(any::<f32>().prop_filter("nan", |t| !t.is_nan()), 0..9)) {
            let samples: Vec<Sample> =
                targets.iter().map(|target| Sample { sha256: Digest::of(&target.to_le_bytes()), target: *target }).collect();
            prop_assert_eq!(decode_samples(&encode_samples(&samples)), Some(samples));
        }

        #[test]
        fn invalid_bytes_are_rejected(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(GradientSum::from_bytes(&bytes), None);
            prop_assert_eq!(Scaling::from_bytes(&bytes), None);
        }

        #[test]
        fn gradient_sums_round_trip(value in -1e9_f32..1e9, error in 0.0_f64..1e12) {
            let sum = GradientSum { gradient: vec![value; HEAD_PARAMETERS], squared_error: error };
            prop_assert_eq!(GradientSum::from_bytes(&sum.to_bytes()), Some(sum));
        }
    }
}
