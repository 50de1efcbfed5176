//! Why there is no model.

/// libtorch's own error.
pub use tch::TchError as TorchError;

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The weights cannot be had.
    #[error("{0}")]
    Weights(String),
    /// The device cannot be used.
    #[error("{0}")]
    Device(String),
    /// libtorch fails.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
}
