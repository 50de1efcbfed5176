//! `.safetensors` files.
//!
//! Owns the element types that weights may have.

use std::path::Path;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::{
    selection::{self, Dict, Unread},
    state_dict::StateDict,
};

/// Reads the backbone of a `.safetensors` file.
pub(super) fn read(bytes: &[u8]) -> Result<StateDict, String> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| format!("neither a .pth nor a .safetensors file: {error}"))?;
    let tensors = file.tensors().into_iter().map(|(name, view)| {
        let shape = view.shape().iter().map(|size| *size as i64).collect();
        let floating = matches!(view.dtype(), Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16);
        (name.into(), Unread { shape, floating, source: view })
    });
    selection::read_backbone(&[Dict::new(String::new(), tensors)], |_, view| Ok(widen(view)))
}

fn widen(view: &TensorView<'_>) -> Vec<f32> {
    let bytes = view.data();
    match view.dtype() {
        Dtype::F64 => bytes.as_chunks().0.iter().map(|value| f64::from_le_bytes(*value) as f32).collect(),
        Dtype::F16 => bytes.as_chunks().0.iter().map(|value| f16::from_le_bytes(*value).to_f32()).collect(),
        Dtype::BF16 => bytes.as_chunks().0.iter().map(|value| bf16::from_le_bytes(*value).to_f32()).collect(),
        _ => bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect(),
    }
}

pub(super) fn write(state: &StateDict, path: &Path) -> Result<(), String> {
    let bytes: Vec<(&String, Vec<usize>, Vec<u8>)> = state
        .0
        .iter()
        .map(|(name, tensor)| {
            let shape = tensor.shape.iter().map(|size| *size as usize).collect();
            (name, shape, tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect())
        })
        .collect();
    let views: Result<Vec<_>, _> = bytes
        .iter()
        .map(|(name, shape, bytes)| {
            TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.as_str(), view))
        })
        .collect();
    let views = views.map_err(|error| error.to_string())?;
    safetensors::serialize_to_file(views, None, path).map_err(|error| error.to_string())
}
