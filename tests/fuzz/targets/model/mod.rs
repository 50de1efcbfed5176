//! The readers of weights files, compiled from the worker's sources, since its other modules need libtorch.

#[path = "../../../../worker/src/model/architecture.rs"]
mod architecture;
#[path = "../../../../worker/src/model/pth/mod.rs"]
mod pth;
#[path = "../../../../worker/src/model/safetensors_file.rs"]
mod safetensors_file;
#[path = "../../../../worker/src/model/selection.rs"]
mod selection;
#[path = "../../../../worker/src/model/state_dict.rs"]
mod state_dict;

pub(crate) fn is_pth(bytes: &[u8]) -> bool {
    pth::is_pth(bytes)
}

/// Reads the backbone of a file, `.pth` or else `.safetensors`, and checks that the values of each tensor fill its shape.
pub(crate) fn read(bytes: &[u8]) {
    let state = if is_pth(bytes) { pth::read(bytes).ok() } else { safetensors_file::read(bytes).ok() };
    for (name, tensor) in state.iter().flat_map(|state| &state.0) {
        assert_eq!(tensor.shape.iter().product::<i64>(), tensor.values.len() as i64, "{name}");
    }
}
