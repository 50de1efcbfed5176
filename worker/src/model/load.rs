//! From a configuration to a model that is ready to compute.

use std::{sync::Once, time::Instant};

use images::preprocess::{Pixels, SIDE};

use super::{
    backbone::{Backbone, Kernels},
    config::ModelConfig,
    error::ModelError,
    precision::{Precision, PrecisionChoice},
};

/// libtorch takes this setting once.
static INTEROP_THREADS: Once = Once::new();

/// Loads the model and warms it up. Blocks. Call it on the thread that is going to own the model.
///
/// # Errors
/// When weights or device cannot be had.
pub fn load(config: &ModelConfig) -> Result<Backbone, ModelError> {
    let device = config.device.resolve()?;
    INTEROP_THREADS.call_once(|| tch::set_num_interop_threads(1));
    if let Some(threads) = config.threads {
        tch::set_num_threads(threads as i32);
    }
    let precision = config.precision.resolve(device);
    let began = Instant::now();
    let weights = config.weights.load(&config.cache_dir)?;
    let mut backbone = Backbone::new(&weights, precision, device)?;
    // The first batch of a shape pays for its kernels' choice; better now than under a job.
    let grey = Pixels(vec![128; SIDE * SIDE * 3]);
    let greys = vec![grey; backbone.batch()];
    if let Err(error) = backbone.features(&greys) {
        if !backbone.computes_in_background() {
            return Err(error.into());
        }
        // cuDNN has fused kernels for bf16 from compute capability 8.0 on.
        tracing::warn!(%error, "no fused kernels on this GPU, each operation has its own");
        backbone.set_kernels(Kernels::Separate);
        backbone.features(&greys)?;
    }
    tracing::info!(weights = %config.weights, ?device, %precision, space = %backbone.space(),
        seconds = began.elapsed().as_secs_f64(), "model loaded");
    Ok(backbone)
}

/// Returns the precisions that the device of `config` computes without emulation.
///
/// # Errors
/// When the device cannot be had.
pub fn fast_precisions(config: &ModelConfig) -> Result<Vec<Precision>, ModelError> {
    let mut precisions = vec![Precision::Fp32, PrecisionChoice::Auto.resolve(config.device.resolve()?)];
    precisions.dedup();
    Ok(precisions)
}

/// Returns the number of compute threads.
#[must_use]
pub fn threads() -> usize {
    tch::get_num_threads() as usize
}
