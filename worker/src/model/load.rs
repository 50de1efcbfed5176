//! From the model's settings to a model that is ready to compute.
//!
//! Owns the reading of the settings. Does not own what a device, a precision or a source of weights is.

use std::{path::PathBuf, str::FromStr, time::Instant};

use common::config::{ConfigError, ModelSettings, PrecisionChoice};
use images::preprocess::{Pixels, SIDE};

use super::{backbone::Backbone, device::DeviceChoice, error::ModelError, precision, weights::WeightsSource};

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
        let device = settings.model_device.parse();
        Ok(Self {
            weights,
            precision: settings.precision()?,
            device: device.map_err(|what: String| {
                ConfigError::invalid("model_device", &settings.model_device, &what)
            })?,
            threads: settings.model_threads,
            cache_dir: settings.cache_dir()?,
        })
    }
}

/// Loads the model and warms it up. Blocks. Call it on the thread that is going to own the model.
///
/// # Errors
/// When weights or device cannot be had.
pub fn load(config: &ModelConfig) -> Result<Backbone, ModelError> {
    let device = config.device.resolve()?;
    tch::set_num_interop_threads(1);
    if let Some(threads) = config.threads {
        tch::set_num_threads(threads as i32);
    }
    let precision = precision::resolve(config.precision, device);
    let began = Instant::now();
    let weights = config.weights.load(&config.cache_dir)?;
    let backbone = Backbone::new(&weights, precision, device)?;
    // The first batch of a shape pays for its kernels' choice; better now than under a job.
    let grey = Pixels(vec![128; SIDE * SIDE * 3]);
    backbone.features(&vec![grey; BATCH])?;
    tracing::info!(weights = %config.weights, ?device, %precision, space = %backbone.space(),
        seconds = began.elapsed().as_secs_f64(), "model loaded");
    Ok(backbone)
}

/// Returns the number of compute threads.
#[must_use]
pub fn threads() -> usize {
    tch::get_num_threads() as usize
}
