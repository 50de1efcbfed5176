//! The embedding of one image: 512 half-precision numbers, stored as 1,024 bytes of little-endian f16.

use std::fmt;

use half::f16;
use serde::{Deserialize, Serialize};

/// Length of an embedding: ResNet34's features after average pooling.
pub const DIMENSIONS: usize = 512;

/// One image's features, f16.
#[derive(Clone, PartialEq, Debug)]
pub struct Embedding(Box<[f16; DIMENSIONS]>);

impl Embedding {
    /// Rounds `features` to half precision.
    ///
    /// # Panics
    /// If `features` does not have [`DIMENSIONS`] values.
    #[must_use]
    pub fn from_f32(features: &[f32]) -> Self {
        assert_eq!(features.len(), DIMENSIONS, "an embedding has {DIMENSIONS} numbers");
        let mut values = Box::new([f16::ZERO; DIMENSIONS]);
        for (value, feature) in values.iter_mut().zip(features) {
            *value = f16::from_f32(*feature);
        }
        Self(values)
    }

    /// Decodes the stored bytes; `None` if the length is wrong.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != DIMENSIONS * 2 {
            return None;
        }
        let mut values = Box::new([f16::ZERO; DIMENSIONS]);
        for (value, pair) in values.iter_mut().zip(bytes.chunks_exact(2)) {
            *value = f16::from_le_bytes([pair[0], pair[1]]);
        }
        Some(Self(values))
    }

    /// Encodes as 1,024 bytes of little-endian f16.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[must_use]
    pub fn to_f32(&self) -> [f32; DIMENSIONS] {
        self.0.map(f16::to_f32)
    }
}

/// An embedding space: names the backbone weights hash, preprocessing version, kernel version, precision and
/// device class that computed an embedding. Embeddings of different spaces are never compared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Space(pub String);

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_bytes_round_trip() {
        let features: Vec<f32> = (0..DIMENSIONS).map(|i| i as f32 / 7.0).collect();
        let embedding = Embedding::from_f32(&features);
        assert_eq!(Embedding::from_bytes(&embedding.to_bytes()), Some(embedding.clone()));
        assert_eq!(embedding.to_f32()[7], 1.0);
        assert_eq!(Embedding::from_bytes(&[0; 3]), None);
    }
}
