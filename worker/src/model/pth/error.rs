//! Errors of reading a `.pth` file.

/// Why a `.pth` file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(in crate::model) enum PthError {
    #[error(
        "the file has the format used before PyTorch 1.6; convert it with: python -c \"import torch; \
         torch.save(torch.load('old.pth', weights_only=True, map_location='cpu'), 'new.pth')\""
    )]
    OldFormat,
    /// A zip archive that `torch.save` did not write.
    #[error("{0}")]
    Foreign(&'static str),
    /// The zip archive is corrupt.
    #[error("the file is corrupt or truncated: {0}")]
    Container(String),
    /// The pickle refers to a Python object that does not belong in a state dict.
    #[error(
        "the file contains '{0}', which is not a tensor, and torch.load(weights_only=True) refuses it as well: save \
         model.state_dict() alone"
    )]
    Forbidden(String),
    /// The pickle is not one that PyTorch writes.
    #[error("the file does not contain a valid state dict: {0}")]
    Malformed(String),
    /// The tensors are not those of the model.
    #[error("{0}")]
    Unsuitable(String),
}

impl From<String> for PthError {
    fn from(reason: String) -> Self {
        Self::Unsuitable(reason)
    }
}

pub(super) fn malformed(reason: &str) -> PthError {
    PthError::Malformed(reason.to_owned())
}
