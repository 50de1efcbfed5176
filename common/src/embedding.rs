//! The embedding of one image: 512 half-precision numbers, stored as 1,024 bytes of little-endian f16.

use std::fmt;

use half::{f16, slice::HalfFloatSliceExt as _};
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
        let mut values = [0.0; DIMENSIONS];
        // Eight at a time, where the processor can.
        self.0.convert_to_f32_slice(&mut values);
        values
    }
}

/// An embedding space: names the weights, the preprocessing, the kernels and the precision of the embeddings in it, and
/// whether a CPU or a GPU computed them. Embeddings of different spaces are never compared.
///
/// Devices of several classes compute the embeddings of a space, which may therefore differ in the last bits. The space
/// `SPACE@CLASS` has those of one [`DeviceClass`] alone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Space(pub String);

impl Space {
    /// Returns the space of the embeddings that devices of `class` compute.
    #[must_use]
    pub fn of_class(&self, class: &DeviceClass) -> Self {
        Self(format!("{}@{class}", self.of_all_classes()))
    }

    /// Returns the space without its device class.
    #[must_use]
    pub fn of_all_classes(&self) -> Self {
        Self(self.0.split('@').next().unwrap_or_default().to_owned())
    }

    /// Whether it has the embeddings of one device class alone.
    #[must_use]
    pub fn is_of_class(&self) -> bool {
        self.0.contains('@')
    }
}

/// Devices that compute the same bits: the instruction set of a CPU, such as `avx512-bf16`, or the model of a GPU, such as
/// `nvidia-h100-80gb-hbm3`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceClass(pub String);

impl fmt::Display for DeviceClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

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

    #[test]
    fn a_device_class_is_part_of_a_spaces_name() {
        let (space, class) = (Space("resnet34-k2".to_owned()), DeviceClass("avx2".to_owned()));
        let of_class = space.of_class(&class);
        assert_eq!(of_class.0, "resnet34-k2@avx2");
        assert_eq!(of_class.of_class(&DeviceClass("neon".to_owned())).0, "resnet34-k2@neon");
        assert_eq!(of_class.of_all_classes(), space);
        assert!(of_class.is_of_class() && !space.is_of_class());
    }
}
