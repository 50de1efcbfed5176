//! Why a `.pth` file is not read.

/// Why a `.pth` file is not read.
#[derive(Debug, thiserror::Error)]
pub enum PthError {
    /// It has the format of before PyTorch 1.6.
    #[error(
        "the file has the format of before PyTorch 1.6; convert it with: python -c \"import torch; \
         torch.save(torch.load('old.pth', weights_only=True, map_location='cpu'), 'new.pth')\""
    )]
    OldFormat,
    /// The container is damaged.
    #[error("the file is damaged or truncated: {0}")]
    Container(String),
    /// The pickle names something that is no part of a state dict.
    #[error("the file holds '{0}', which is no tensor: save model.state_dict() instead of the model")]
    Forbidden(String),
    /// The pickle is not what PyTorch writes.
    #[error("the file holds no state dict: {0}")]
    Malformed(String),
}

pub(super) fn malformed(what: &str) -> PthError {
    PthError::Malformed(what.to_owned())
}
