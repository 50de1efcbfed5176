//! Which model is asked for.
//!
//! Owns the reading of the model's settings.

use std::{path::PathBuf, str::FromStr};

use common::config::{ConfigError, ModelSettings, PrecisionChoice};

use super::{device::DeviceChoice, weights::WeightsSource};

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
