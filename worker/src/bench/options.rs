//! Arguments of `subwatch-worker bench`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use common::config::Precision;

use crate::model::Kernels;

#[derive(Clone, Debug, Args)]
pub struct BenchOptions {
    /// Folder with the JPEG files to measure with.
    pub(super) folder: PathBuf,
    /// Measure each figure for SECONDS.
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = seconds)]
    pub(super) seconds: f64,
    /// Measure these batch sizes [default: 1,8,16,32,64 on a CPU, 64,128,256,512,1024 on a GPU].
    #[arg(long, value_name = "SIZES", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(super) batches: Vec<u16>,
    /// Measure these precisions: fp32, bf16 [default: fp32, and bf16 if the device is fast at it].
    #[arg(long, value_name = "PRECISIONS", value_delimiter = ',')]
    pub(super) precisions: Vec<Precision>,
    /// Measure these convolution kernels of a GPU [default: both; the pipeline uses the fastest].
    #[arg(long, value_name = "KERNELS", value_delimiter = ',', value_enum)]
    pub(super) kernels: Vec<Kernels>,
    /// Measure these parts.
    #[arg(long, value_name = "PARTS", value_delimiter = ',', value_enum, default_values = ["decode", "model", "pipeline"])]
    pub(super) parts: Vec<Part>,
    /// Leave the network out of the pipelines, to measure the other stages.
    #[arg(long)]
    pub(super) without_network: bool,
    /// Print the report in this format.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(super) output: Format,
    /// Write the features of all images, sorted by name, to the .npy file FILE and measure nothing.
    #[arg(long, value_name = "FILE")]
    pub(super) embeddings: Option<PathBuf>,
    /// Write the resized images, sorted by name, to the .npy file FILE and measure nothing.
    #[arg(long, value_name = "FILE")]
    pub(super) pixels: Option<PathBuf>,
}

/// A measurement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Part {
    /// Decode and resize, on one core and on all.
    Decode,
    /// Run the model, by precision and batch size.
    Model,
    /// Run the batcher and the model, from pixels in memory and from files.
    Pipeline,
}

/// Format of the report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
}

impl BenchOptions {
    pub(super) fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    #[cfg(test)]
    pub(super) fn quick(folder: &std::path::Path) -> Self {
        Self {
            folder: folder.to_owned(),
            seconds: 0.01,
            batches: vec![2],
            precisions: vec![Precision::Fp32],
            kernels: Vec::new(),
            parts: vec![Part::Decode, Part::Model, Part::Pipeline],
            without_network: false,
            output: Format::Json,
            embeddings: None,
            pixels: None,
        }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let in_range = |seconds: &f64| (0.01..=600.0).contains(seconds);
    text.parse().ok().filter(in_range).ok_or_else(|| "a number of seconds from 0.01 to 600".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_or_explained() {
        assert_eq!(seconds("0.5"), Ok(0.5));
        for text in ["", "0", "-1", "NaN", "inf", "601", "3s"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
