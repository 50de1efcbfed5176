//! Errors of loading the model.

/// An error of libtorch.
pub use tch::TchError as TorchError;

/// Why the model cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The weights cannot be loaded.
    #[error("{0}")]
    Weights(String),
    /// The device cannot be used.
    #[error("{0}")]
    Device(String),
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
}
