//! Weights as f32 tensors, by torchvision's names.
//!
//! Owns their digest.

use std::collections::BTreeMap;

use common::digest::Digest;

/// A tensor of f32, row-major.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor {
    pub shape: Vec<i64>,
    pub values: Vec<f32>,
}

/// Tensors by name.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct StateDict(pub BTreeMap<String, Tensor>);

impl StateDict {
    /// Returns a tensor of the backbone, all of which are present.
    pub(super) fn get(&self, name: &str) -> &Tensor {
        self.0.get(name).expect("a state dict has every tensor of the backbone")
    }

    /// SHA-256 over names, shapes and little-endian values, in the order of names. It does not depend on the file
    /// format.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut bytes = Vec::new();
        for (name, tensor) in &self.0 {
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(0);
            bytes.extend(tensor.shape.iter().flat_map(|size| size.to_le_bytes()));
            bytes.extend(tensor.values.iter().flat_map(|value| value.to_le_bytes()));
        }
        Digest::of(&bytes)
    }
}
