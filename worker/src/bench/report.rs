//! The report of a run, as JSON or tables.

use std::fmt;

use serde::Serialize;

use super::images::BenchImages;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) version: &'static str,
    pub(super) cores: usize,
    pub(super) model_threads: usize,
    pub(super) images: usize,
    pub(super) mean_file_bytes: u64,
    pub(super) decode: Vec<DecodeRow>,
    pub(super) model: Vec<ModelRow>,
    pub(super) pipeline: Vec<PipelineRow>,
}

/// Decoding and resizing with a number of threads.
#[derive(Debug, Serialize)]
pub(super) struct DecodeRow {
    pub(super) threads: usize,
    pub(super) images_per_second: f64,
    pub(super) core_ms_per_image: f64,
}

/// The model at one batch size.
#[derive(Debug, Serialize)]
pub(super) struct ModelRow {
    pub(super) device: String,
    pub(super) precision: String,
    pub(super) kernels: String,
    pub(super) batch: usize,
    /// The network alone, with its input on the device, by the median time; the next two by the longest and the
    /// shortest.
    pub(super) images_per_second: f64,
    pub(super) images_per_second_least: f64,
    pub(super) images_per_second_largest: f64,
    pub(super) samples: usize,
    pub(super) ms_per_batch: f64,
    /// The steps before the network. Copying pixels to memory that the device reads, on one thread; in a pipeline, the
    /// decoder threads write them there.
    pub(super) staging_ms_per_batch: f64,
    /// Copying them from there to the device.
    pub(super) upload_ms_per_batch: f64,
    pub(super) normalisation_ms_per_batch: f64,
}

/// Batcher and model, from one kind of input.
#[derive(Debug, Serialize)]
pub(super) struct PipelineRow {
    pub(super) device: String,
    pub(super) space: String,
    pub(super) input: String,
    pub(super) jobs: usize,
    pub(super) job_items: usize,
    pub(super) images_per_second: f64,
}

impl Report {
    pub(super) fn new(images: &BenchImages, cores: usize) -> Self {
        let (count, bytes) = (images.files.len(), images.files.iter().map(Vec::len).sum::<usize>());
        Self {
            version: env!("CARGO_PKG_VERSION"),
            cores,
            model_threads: 0,
            images: count,
            mean_file_bytes: (bytes / count.max(1)) as u64,
            decode: Vec::new(),
            model: Vec::new(),
            pipeline: Vec::new(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { images, mean_file_bytes, cores, model_threads, .. } = self;
        writeln!(
            f,
            "{images} images of {mean_file_bytes} bytes on average; {cores} cores, {model_threads} compute threads"
        )?;
        if !self.decode.is_empty() {
            writeln!(f, "\ndecode and resize      threads      img/s   core-ms/img")?;
        }
        for row in &self.decode {
            let DecodeRow { threads, images_per_second, core_ms_per_image } = row;
            writeln!(f, "{:22} {threads:7} {images_per_second:10.1} {core_ms_per_image:13.3}", "")?;
        }
        if !self.model.is_empty() {
            writeln!(
                f,
                "\nmodel                    batch      img/s      ms/batch   staging    upload   normalisation"
            )?;
        }
        for row in &self.model {
            let name = format!("{} {} {}", row.device, row.precision, row.kernels);
            let ModelRow { batch, images_per_second, ms_per_batch, .. } = row;
            let (staging, upload) = (row.staging_ms_per_batch, row.upload_ms_per_batch);
            let normalisation = row.normalisation_ms_per_batch;
            writeln!(
                f,
                "{name:22} {batch:7} {images_per_second:10.1} {ms_per_batch:13.3} {staging:9.3} {upload:9.3} {normalisation:15.3}"
            )?;
        }
        if !self.pipeline.is_empty() {
            writeln!(f, "\npipeline                jobs      img/s     items/job   space")?;
        }
        for row in &self.pipeline {
            let PipelineRow { device, space, input, jobs, job_items, images_per_second } = row;
            let name = format!("{device} from {input}");
            writeln!(f, "{name:22} {jobs:5} {images_per_second:10.1} {job_items:13}   {space}")?;
        }
        Ok(())
    }
}
