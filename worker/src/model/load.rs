//! Loading of the model from its settings.

use std::{path::PathBuf, str::FromStr, sync::Once, time::Instant};

use common::config::{ConfigError, ModelSettings, Precision, PrecisionChoice};
use images::preprocess::{Pixels, SIDE};

use super::{
    backbone::Backbone, convolution::Kernels, device::DeviceChoice, error::ModelError, fault::Fault,
    precision, weights::WeightsSource,
};

/// libtorch accepts this setting only once per process.
static INTEROP_THREADS: Once = Once::new();

/// The parsed model settings.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    pub weights: WeightsSource,
    pub precision: PrecisionChoice,
    pub device: DeviceChoice,
    /// Compute threads; `None` is one per core.
    pub threads: Option<usize>,
    /// Folder for downloaded and calibrated weights.
    pub cache_dir: PathBuf,
}

impl ModelConfig {
    /// # Errors
    /// If a setting is malformed.
    pub fn from_settings(settings: &ModelSettings) -> Result<Self, ConfigError> {
        let parse_weights = |text: &String| {
            WeightsSource::from_str(text).map_err(|want| ConfigError::invalid("model_weights", text, &want))
        };
        let weights =
            settings.model_weights.as_ref().map_or_else(|| Ok(WeightsSource::default()), parse_weights)?;
        let device = settings.model_device.parse();
        Ok(Self {
            weights,
            precision: settings.precision()?,
            device: device.map_err(|want: String| {
                ConfigError::invalid("model_device", &settings.model_device, &want)
            })?,
            threads: settings.model_threads,
            cache_dir: settings.cache_dir()?,
        })
    }
}

/// Loads the model and warms it up. Blocks. Call it on the thread that will own the model.
///
/// # Errors
/// If the weights cannot be loaded or the device cannot be used.
pub fn load(config: &ModelConfig) -> Result<Backbone, ModelError> {
    let device = config.device.resolve()?;
    INTEROP_THREADS.call_once(|| tch::set_num_interop_threads(1));
    if let Some(threads) = config.threads {
        tch::set_num_threads(threads as i32);
    }
    let precision = precision::resolve(config.precision, device);
    let began = Instant::now();
    let weights = config.weights.load(&config.cache_dir)?;
    let mut backbone = Backbone::new(&weights, precision, device)?;
    // Libraries select kernels at the first batch of a shape; do that before a job has to wait for it.
    let grey = Pixels(vec![128; SIDE * SIDE * 3]);
    let mut greys = vec![grey; backbone.batch()];
    while let Err(error) = backbone.features(&greys) {
        if Fault::of(&error.to_string()) == Fault::OutOfMemory && greys.len() > 1 {
            // Batches of jobs that do not fit are computed in halves, too.
            greys.truncate(greys.len() / 2);
            continue;
        }
        if backbone.kernels() == Kernels::Separate || !backbone.computes_in_background() {
            return Err(error.into());
        }
        // cuDNN has fused kernels for bf16 from compute capability 8.0 on.
        tracing::warn!(%error, "this GPU has no fused kernels; separate kernels are slower");
        backbone.set_kernels(Kernels::Separate);
    }
    // An interactive image often comes alone.
    backbone.features(&greys[..1])?;
    tracing::info!(weights = %config.weights, ?device, %precision, space = %backbone.space(),
        seconds = began.elapsed().as_secs_f64(), "model loaded");
    Ok(backbone)
}

/// Returns the precisions that the configured device computes in hardware.
///
/// # Errors
/// If the device cannot be used.
pub fn fast_precisions(config: &ModelConfig) -> Result<Vec<Precision>, ModelError> {
    let mut precisions =
        vec![Precision::Fp32, precision::resolve(PrecisionChoice::Auto, config.device.resolve()?)];
    precisions.dedup();
    Ok(precisions)
}

/// Returns the number of compute threads.
#[must_use]
pub fn threads() -> usize {
    tch::get_num_threads() as usize
}
