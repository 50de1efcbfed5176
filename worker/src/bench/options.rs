//! What to measure.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use crate::model::{Kernels, Precision};

/// Arguments of `subwatch-worker bench`.
#[derive(Clone, Debug, Args)]
pub struct BenchOptions {
    /// Folder of JPEG files to measure with.
    pub(super) folder: PathBuf,
    /// Measure each figure for SECONDS.
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = seconds)]
    pub(super) seconds: f64,
    /// Run the model on batches of these sizes [default: 1,8,16,32,64 on a CPU, 64,128,256,512,1024 on a GPU].
    #[arg(long, value_name = "SIZES", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(super) batches: Vec<u16>,
    /// Run the model in these precisions [default: fp32, and bf16 where the device computes it fast].
    #[arg(long, value_name = "PRECISIONS", value_delimiter = ',')]
    pub(super) precisions: Vec<Precision>,
    /// Compute convolutions on a GPU with these kernels [default: both; pipelines run what jobs run].
    #[arg(long, value_name = "KERNELS", value_delimiter = ',', value_enum)]
    pub(super) kernels: Vec<Kernels>,
    /// Measure these parts.
    #[arg(long, value_name = "PARTS", value_delimiter = ',', value_enum, default_values = ["decode", "model", "pipeline"])]
    pub(super) parts: Vec<Part>,
    /// Leave the network out of pipelines, to measure what is around it.
    #[arg(long)]
    pub(super) without_network: bool,
    /// Print a table or JSON.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(super) output: Format,
    /// Measure nothing: write the features of all images, in order of their names, to the .npy FILE.
    #[arg(long, value_name = "FILE")]
    pub(super) embeddings: Option<PathBuf>,
    /// Measure nothing: write the decoded and resized images, in order of their names, to the .npy FILE.
    #[arg(long, value_name = "FILE")]
    pub(super) pixels: Option<PathBuf>,
}

/// A measurement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Part {
    /// Decoding and resizing, on one core and on all.
    Decode,
    /// The model, by precision and size of the batch.
    Model,
    /// Batcher and model, from pixels in memory and from files.
    Pipeline,
}

/// Form of the report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// For programs.
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
