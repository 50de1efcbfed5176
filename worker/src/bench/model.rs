//! Measures the model by precision, kernels and batch size.

use ::images::preprocess::Pixels;
use common::config::{Precision, PrecisionChoice};

use super::{images::BenchImages, options::BenchOptions, report::ModelRow, samples::Samples};
use crate::model::{self, Backbone, Kernels, ModelConfig, TorchError};

/// Default batch sizes on a CPU and on a GPU.
const CPU_BATCHES: [u16; 5] = [1, 8, 16, 32, 64];
const CUDA_BATCHES: [u16; 5] = [64, 128, 256, 512, 1024];
/// Passes per sample on a GPU: queued together, so that the GPU never waits for the CPU.
const PASSES: usize = 8;

/// Measures the requested precisions, kernels and batch sizes.
pub(super) fn measure(
    config: &ModelConfig,
    options: &BenchOptions,
    images: &BenchImages,
) -> anyhow::Result<Vec<ModelRow>> {
    let precisions = match options.precisions.as_slice() {
        [] => model::fast_precisions(config)?,
        given => given.to_vec(),
    };
    let mut rows = Vec::new();
    for precision in precisions {
        let config = ModelConfig { precision: PrecisionChoice::Exactly(precision), ..config.clone() };
        let mut backbone = model::load(&config)?;
        for kernels in kernels(&backbone, precision, &options.kernels) {
            backbone.set_kernels(kernels);
            for batch in batches(&backbone, options) {
                rows.push(measure_batch(&backbone, (precision, kernels), batch, options, images)?);
            }
        }
    }
    Ok(rows)
}

/// Kernels to measure. A CPU has one kind, and a GPU in fp32 only separate ones.
fn kernels(backbone: &Backbone, precision: Precision, requested: &[Kernels]) -> Vec<Kernels> {
    match (backbone.computes_in_background(), precision, requested) {
        (false, ..) => vec![backbone.kernels()],
        (true, Precision::Fp32, _) => vec![Kernels::Separate],
        (true, Precision::Bf16, []) => vec![Kernels::Separate, Kernels::Fused],
        (true, Precision::Bf16, requested) => requested.to_vec(),
    }
}

fn batches(backbone: &Backbone, options: &BenchOptions) -> Vec<usize> {
    let sizes = match options.batches.as_slice() {
        [] if backbone.computes_in_background() => CUDA_BATCHES.as_slice(),
        [] => CPU_BATCHES.as_slice(),
        given => given,
    };
    sizes.iter().copied().map(usize::from).collect()
}

fn measure_batch(
    backbone: &Backbone,
    (precision, kernels): (Precision, Kernels),
    batch: usize,
    options: &BenchOptions,
    images: &BenchImages,
) -> anyhow::Result<ModelRow> {
    let decoded = images.pixels(batch)?;
    let pixels: Vec<Pixels> = decoded.iter().cycle().take(batch).cloned().collect();
    let mut memory = backbone.memory().allocate(batch)?;
    memory.fill(&pixels);
    let input = backbone.normalise(&backbone.upload(&mut memory)?)?;
    let passes = if backbone.computes_in_background() { PASSES } else { 1 };
    let network = || -> Result<(), TorchError> {
        for _ in 0..passes {
            backbone.run(&input)?;
        }
        backbone.synchronise();
        Ok(())
    };
    // Libraries select kernels and allocate memory at the first run of a shape.
    network()?;
    let network = Samples::take(options.duration(), network)?;
    let staging = Samples::take(options.duration() / 8, || {
        memory.fill(&pixels);
        Ok::<_, TorchError>(())
    })?;
    let upload = Samples::take(options.duration() / 8, || backbone.upload(&mut memory).map(drop))?;
    let uploaded = backbone.upload(&mut memory)?;
    let normalise = Samples::take(options.duration() / 8, || {
        backbone.normalise(&uploaded)?;
        backbone.synchronise();
        Ok::<_, TorchError>(())
    })?;
    let ms = |samples: &Samples| 1000.0 * samples.median().as_secs_f64();
    let rate = |seconds: f64, passes: usize| (batch * passes) as f64 / seconds;
    Ok(ModelRow {
        device: backbone.device(),
        precision: precision.to_string(),
        kernels: kernels.to_string(),
        batch,
        images_per_second: rate(network.median().as_secs_f64(), passes),
        images_per_second_least: rate(network.largest().as_secs_f64(), passes),
        images_per_second_largest: rate(network.least().as_secs_f64(), passes),
        samples: network.count(),
        ms_per_batch: ms(&network) / passes as f64,
        staging_ms_per_batch: ms(&staging),
        upload_ms_per_batch: ms(&upload),
        normalisation_ms_per_batch: ms(&normalise),
    })
}
