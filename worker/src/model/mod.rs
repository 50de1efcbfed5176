//! The model: ResNet34 from image pixels to embeddings.
//!
//! Owns weights, numerics and the device, and is the only module that names the `tch` crate. Does not own
//! decoding (crate `data`) or where embeddings are stored.
//! Invariants: one thread owns each device; weights have torchvision's names; whatever changes an
//! embedding's bits on one machine changes the name of its [space](common::embedding::Space).

mod backbone;
mod cuda;
mod device;
mod fetch;
mod pth;
mod random;
mod safe;
mod state;
mod weights;

use std::{path::PathBuf, str::FromStr};

use common::{
    config::{ConfigError, ModelSettings},
    digest::Digest,
    embedding::Space,
};

pub use self::{
    backbone::Backbone,
    device::{DeviceChoice, Precision, PrecisionChoice},
    pth::PthError,
    state::{State, Tensor},
    weights::WeightsSource,
};

/// Version of the arithmetic between pixels and embedding; part of a space's name.
pub const KERNEL_VERSION: u32 = 1;
/// Most images in one batch.
pub const BATCH: usize = 32;

/// Which model to load, and where it runs.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    /// Where the weights come from.
    pub weights: WeightsSource,
    /// Precision asked for.
    pub precision: PrecisionChoice,
    /// Device asked for.
    pub device: DeviceChoice,
    /// Compute threads; one a core where nothing is said.
    pub threads: Option<usize>,
    /// Folder for downloaded and calibrated weights.
    pub cache_dir: PathBuf,
}

impl ModelConfig {
    /// Takes the model's settings.
    ///
    /// # Errors
    /// When one of them has the wrong form.
    pub fn from_settings(settings: &ModelSettings) -> Result<Self, ConfigError> {
        let parse_weights = |text: &String| {
            WeightsSource::from_str(text).map_err(|what| ConfigError::invalid("model_weights", text, &what))
        };
        let weights =
            settings.model_weights.as_ref().map_or_else(|| Ok(WeightsSource::default()), parse_weights)?;
        let precision = settings.model_precision.parse();
        let device = settings.model_device.parse();
        Ok(Self {
            weights,
            precision: precision.map_err(|what: String| {
                ConfigError::invalid("model_precision", &settings.model_precision, &what)
            })?,
            device: device.map_err(|what: String| {
                ConfigError::invalid("model_device", &settings.model_device, &what)
            })?,
            threads: settings.model_threads,
            cache_dir: settings.cache_dir()?,
        })
    }
}

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

/// Names what makes an embedding.
fn space(weights: &Digest, precision: Precision, device: tch::Device) -> Space {
    let class = if device.is_cuda() { "cuda" } else { "cpu" };
    let (weights, preprocessing) = (weights.prefix(12), images::preprocess::VERSION);
    Space(format!("resnet34-{weights}-p{preprocessing}-k{KERNEL_VERSION}-{precision}-{class}"))
}
