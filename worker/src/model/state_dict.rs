//! Weights as f32 tensors, by torchvision's names.
//!
//! Owns the check that they are those of the backbone, and their digest.

use std::collections::BTreeMap;

use common::digest::Digest;

use super::{architecture::tensor_shapes, error::ModelError};

/// Most problems listed in an error.
const MAX_LISTED: usize = 4;

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
    /// Returns a tensor whose presence [`StateDict::into_backbone`] has checked.
    pub(super) fn get(&self, name: &str) -> &Tensor {
        self.0.get(name).expect("a checked state dict has every tensor")
    }

    /// Drops the classifier and the batch counters, and checks the tensors of the backbone.
    ///
    /// # Errors
    /// If a tensor is missing, unexpected, or has a wrong shape or values that are not finite. The error names the
    /// architecture if it is another known ResNet.
    pub fn into_backbone(self) -> Result<Self, ModelError> {
        let ignored = |name: &str| name.starts_with("fc.") || name.ends_with(".num_batches_tracked");
        let tensors: BTreeMap<String, Tensor> =
            self.0.into_iter().filter(|(name, _)| !ignored(name)).collect();
        let expected = tensor_shapes();
        let mut problems = Vec::new();
        for (name, shape) in &expected {
            match tensors.get(name) {
                None => problems.push(format!("{name} is missing")),
                Some(tensor) if tensor.shape != *shape => {
                    problems.push(format!("{name} has shape {:?} instead of {shape:?}", tensor.shape));
                }
                Some(tensor) if tensor.values.iter().any(|value| !value.is_finite()) => {
                    problems.push(format!("{name} has values that are not finite"));
                }
                Some(_) => {}
            }
        }
        problems.extend(
            tensors
                .keys()
                .filter(|name| !expected.contains_key(*name))
                .map(|name| format!("{name} is unexpected")),
        );
        if problems.is_empty() {
            return Ok(Self(tensors));
        }
        let guess =
            architecture(&tensors).map(|name| format!(" (they look like {name})")).unwrap_or_default();
        let more = problems.len().saturating_sub(MAX_LISTED);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        problems.truncate(MAX_LISTED);
        Err(ModelError::Weights(format!(
            "the weights are not those of ResNet34{guess}: {}{more}",
            problems.join(", ")
        )))
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

/// Recognises other ResNets by their blocks.
fn architecture(tensors: &BTreeMap<String, Tensor>) -> Option<&'static str> {
    let has = |name: &str| tensors.contains_key(name);
    if !has("layer1.0.conv1.weight") {
        return None;
    }
    let bottleneck = has("layer1.0.conv3.weight");
    Some(
        match (
            bottleneck,
            has("layer3.22.conv1.weight"),
            has("layer3.5.conv1.weight"),
            has("layer3.35.conv1.weight"),
        ) {
            (true, _, _, true) => "ResNet152",
            (true, true, _, _) => "ResNet101",
            (true, _, _, _) => "ResNet50",
            (false, _, true, _) => "a modified ResNet34",
            (false, _, false, _) => "ResNet18",
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_other_architectures_are_rejected_by_name() {
        let tensor =
            |shape: Vec<i64>| Tensor { values: vec![0.0; shape.iter().product::<i64>() as usize], shape };
        let whole: BTreeMap<_, _> =
            tensor_shapes().into_iter().map(|(name, shape)| (name, tensor(shape))).collect();
        let check = |change: &dyn Fn(&mut BTreeMap<String, Tensor>), want: &str| {
            let mut tensors = whole.clone();
            change(&mut tensors);
            let error = StateDict(tensors).into_backbone().unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        };
        check(&|t| drop(t.remove("bn1.bias")), "bn1.bias is missing");
        check(&|t| drop(t.insert("extra".to_owned(), tensor(vec![1]))), "extra is unexpected");
        check(
            &|t| drop(t.insert("bn1.bias".to_owned(), tensor(vec![3]))),
            "bn1.bias has shape [3] instead of [64]",
        );
        check(
            &|t| t.get_mut("bn1.bias").unwrap().values[0] = f32::NAN,
            "bn1.bias has values that are not finite",
        );
        check(&|t| t.retain(|name, _| !name.contains("layer3.5")), "look like ResNet18");
        check(&|t| drop(t.insert("layer1.0.conv3.weight".to_owned(), tensor(vec![1]))), "look like ResNet50");
        let mut with_head = whole.clone();
        with_head.insert("fc.weight".to_owned(), tensor(vec![10, 512]));
        with_head.insert("bn1.num_batches_tracked".to_owned(), tensor(vec![]));
        assert_eq!(
            StateDict(with_head).into_backbone().unwrap().digest(),
            StateDict(whole).into_backbone().unwrap().digest()
        );
    }
}
