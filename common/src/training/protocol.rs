//! The training protocol: what a coordinator and its workers exchange about a run.
//!
//! Owns the run's plan, the layout of its samples, and the answers to its jobs, all as bytes in the
//! store. Does not own the arithmetic that fills an answer (worker) or uses it (coordinator).
//! Invariant: all numbers are little-endian and read back bit for bit.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    embedding::{DIMENSIONS, Space},
    ids::SubmissionId,
};

/// Which pass over which part of the split a train-epoch job belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// A training step: answers with gradient sums.
    Train,
    /// Evaluation on the validation split: answers with predictions.
    Valid,
    /// Evaluation on the test split: answers with predictions.
    Test,
}

/// Numbers in a linear head: one weight per dimension, then the bias.
pub const HEAD_PARAMETERS: usize = DIMENSIONS + 1;

/// The arithmetic of head gradients: scalar f32 in a fixed order, the same on every machine. A change of
/// its bits is a new fingerprint.
#[must_use]
pub fn head_fingerprint() -> Fingerprint {
    Fingerprint("head-f32-1".to_owned())
}

/// What a worker must know of a run to compute for it, beside the samples. Never changes once made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunPlan {
    /// Where the embeddings are.
    pub space: Space,
    /// Arithmetic of the gradients; names the run's queue.
    pub fingerprint: Fingerprint,
    /// Leaves of the reduction tree.
    pub leaves: u32,
    /// Samples in a step, but for the last of an epoch.
    pub batch_size: u32,
    /// Seed of the order of samples.
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

    /// Positions, in the epoch's order, of the samples of step `step`.
    #[must_use]
    pub fn step_range(&self, step: u32) -> std::ops::Range<usize> {
        let start = u64::from(step) * u64::from(self.batch_size);
        let end = (start + u64::from(self.batch_size)).min(u64::from(self.train));
        start as usize..end as usize
    }

    /// Samples that all nodes of one pass cover together.
    #[must_use]
    pub fn pass_items(&self, phase: Phase, step: u32) -> usize {
        match phase {
            Phase::Train => self.step_range(step).len(),
            Phase::Valid => self.valid as usize,
            Phase::Test => self.test as usize,
        }
    }
}

/// One sample of a run: an image and its standardised target.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sample {
    /// SHA-256 of the image.
    pub sha256: Digest,
    /// Transformed and standardised target.
    pub target: f32,
}

/// Bytes of one encoded sample.
const SAMPLE_BYTES: usize = 36;

/// Encodes samples: training, validation and test split one after the other, 36 bytes each.
#[must_use]
pub fn encode_samples(samples: &[Sample]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(samples.len() * SAMPLE_BYTES);
    for sample in samples {
        bytes.extend_from_slice(&sample.sha256.0);
        bytes.extend_from_slice(&sample.target.to_le_bytes());
    }
    bytes
}

/// Decodes samples; nothing when the length is no multiple of a sample's.
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
    /// Mean of each feature over the training split.
    pub mean: Vec<f32>,
    /// One over its standard deviation, or 0.
    pub scale: Vec<f32>,
}

impl Scaling {
    /// Encodes the means, then the scales.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode_f32(self.mean.iter().chain(&self.scale))
    }

    /// Decodes them; nothing when the length is wrong.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut mean = decode_f32(bytes).filter(|values| values.len() == 2 * DIMENSIONS)?;
        let scale = mean.split_off(DIMENSIONS);
        Some(Self { mean, scale })
    }
}

/// The sum of the gradients of some samples, and of their squared errors.
#[derive(Clone, PartialEq, Debug)]
pub struct GradientSum {
    /// Sum over samples of the derivative of the squared error by each parameter.
    pub gradient: Vec<f32>,
    /// Sum over samples of the squared error.
    pub squared_error: f64,
}

impl GradientSum {
    /// Whether every number in it is finite.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.squared_error.is_finite() && self.gradient.iter().all(|value| value.is_finite())
    }

    /// The sum over no samples.
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

    /// Decodes it; nothing when the length is wrong.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (gradient, squared_error) = bytes.split_last_chunk::<8>()?;
        let gradient = decode_f32(gradient).filter(|values| values.len() == HEAD_PARAMETERS)?;
        Some(Self { gradient, squared_error: f64::from_le_bytes(*squared_error) })
    }
}

/// A trained head, with all standardisation folded in: its output is the transformed target.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// The run that trained it.
    pub run: SubmissionId,
    /// The space of the embeddings it takes.
    pub space: Space,
    /// What it predicts, such as `views-per-subscriber`.
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

    /// Applies the head: the transformed target of one embedding.
    #[must_use]
    pub fn apply(&self, features: &[f32]) -> f64 {
        let products = self.weight.iter().zip(features).map(|(w, x)| f64::from(*w) * f64::from(*x));
        products.sum::<f64>() + f64::from(self.bias)
    }
}

/// Encodes numbers as little-endian f32.
#[must_use]
pub fn encode_f32<'a>(values: impl IntoIterator<Item = &'a f32>) -> Vec<u8> {
    values.into_iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Decodes little-endian f32; nothing when bytes are left over.
#[must_use]
pub fn decode_f32(bytes: &[u8]) -> Option<Vec<f32>> {
    let (values, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| values.iter().map(|value| f32::from_le_bytes(*value)).collect())
}

/// Serialises numbers as the hexadecimal digits of their bytes, so that they read back bit for bit.
pub mod hex_f32 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the digits.
    ///
    /// # Errors
    /// When the serializer fails.
    pub fn serialize<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(super::encode_f32(values)))
    }

    /// Reads the digits.
    ///
    /// # Errors
    /// When they are no digits, or bytes are left over.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = hex::decode(text).map_err(D::Error::custom)?;
        super::decode_f32(&bytes).ok_or_else(|| D::Error::custom("bytes are left over"))
    }
}

/// Names the arithmetic that computes a gradient: workers with the same fingerprint agree bit for bit.
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
        fn garbage_is_no_answer(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
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
