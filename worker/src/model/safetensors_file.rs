//! `.safetensors` files.
//!
//! Owns the element types that weights may have.

use std::path::Path;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::state_dict::{StateDict, Tensor};

/// Reads the tensors of a `.safetensors` file as f32.
pub(super) fn read(bytes: &[u8]) -> Result<StateDict, String> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| format!("neither a .pth nor a .safetensors file: {error}"))?;
    let mut state = StateDict::default();
    for (name, view) in file.tensors() {
        if name.ends_with(".num_batches_tracked") {
            continue;
        }
        let shape = view.shape().iter().map(|size| *size as i64).collect();
        let values = widen(&view).ok_or_else(|| {
            format!("{name} has element type {:?}; expected F64, F32, F16 or BF16", view.dtype())
        })?;
        state.0.insert(name, Tensor { shape, values });
    }
    Ok(state)
}

fn widen(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let bytes = view.data();
    Some(match view.dtype() {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect(),
        Dtype::F64 => bytes.as_chunks().0.iter().map(|value| f64::from_le_bytes(*value) as f32).collect(),
        Dtype::F16 => bytes.as_chunks().0.iter().map(|value| f16::from_le_bytes(*value).to_f32()).collect(),
        Dtype::BF16 => bytes.as_chunks().0.iter().map(|value| bf16::from_le_bytes(*value).to_f32()).collect(),
        _ => return None,
    })
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
