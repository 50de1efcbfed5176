//! The readers of weights files, compiled from the worker's sources, since its other modules need libtorch.

#[path = "../../../../worker/src/model/architecture.rs"]
mod architecture;
#[path = "../../../../worker/src/model/pth/mod.rs"]
mod pth;
#[path = "../../../../worker/src/model/safetensors_file.rs"]
mod safetensors_file;
#[path = "../../../../worker/src/model/state_dict.rs"]
mod state_dict;

/// The one error that the state dict needs of the model's.
mod error {
    #[derive(Debug)]
    pub(crate) enum ModelError {
        Weights(String),
    }

    impl std::fmt::Display for ModelError {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            let Self::Weights(what) = self;
            f.write_str(what)
        }
    }
}

pub(crate) fn is_pth(bytes: &[u8]) -> bool {
    pth::is_pth(bytes)
}

/// Reads a file as `.pth`, or else as `.safetensors`, checks that the values of each tensor fill its shape,
/// and takes the backbone out of it.
pub(crate) fn read(bytes: &[u8]) {
    let state = if is_pth(bytes) { pth::read(bytes).ok() } else { safetensors_file::read(bytes).ok() };
    let Some(state) = state else { return };
    for (name, tensor) in &state.0 {
        assert_eq!(tensor.shape.iter().product::<i64>(), tensor.values.len() as i64, "{name}");
    }
    let _ = state.into_backbone();
}
