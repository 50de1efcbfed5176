//! `subwatch-worker bench`: measures decoding, the model and the pipeline of a machine, without servers.
//!
//! Owns the measurements and their report; the measured code is the one that jobs run. `options` has the arguments and
//! `images` the input; `decode`, `model` and `pipeline` measure, with statistics from `samples`; `report` prints the
//! results, and `arrays` writes `.npy` files for comparison with other implementations.

mod arrays;
mod decode;
mod images;
mod model;
mod options;
mod pipeline;
mod report;
mod samples;

use std::io::Write as _;

use anyhow::Context as _;
use common::config::Settings;

pub use self::options::BenchOptions;
use self::{
    images::BenchImages,
    options::{Format, Part},
    report::Report,
};
use crate::model::{ModelConfig, threads};

/// Runs the requested measurements and prints the report.
///
/// # Errors
/// If the folder has no images, the model cannot be loaded or a measurement fails.
pub fn run(settings: &Settings, options: &BenchOptions) -> anyhow::Result<()> {
    let config = ModelConfig::from_settings(&settings.model)?;
    let images = BenchImages::read(&options.folder, settings.images.max_image_bytes)?;
    if options.embeddings.is_some() || options.pixels.is_some() {
        return arrays::write(&config, options, &images);
    }
    let report = measure(settings, &config, options, &images)?;
    let text = match options.output {
        Format::Table => report.to_string(),
        Format::Json => serde_json::to_string_pretty(&report).expect("a report has only text keys") + "\n",
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")
}

fn measure(
    settings: &Settings,
    config: &ModelConfig,
    options: &BenchOptions,
    images: &BenchImages,
) -> anyhow::Result<Report> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut report = Report::new(images, cores);
    let wants = |part| options.parts.contains(&part);
    if wants(Part::Decode) {
        report.decode = decode::measure(images, cores, options.duration())?;
    }
    if wants(Part::Model) {
        report.model = model::measure(config, options, images)?;
    }
    if wants(Part::Pipeline) {
        report.pipeline = pipeline::measure(settings, config, options, images)?;
    }
    report.model_threads = threads();
    Ok(report)
}

#[cfg(test)]
mod tests {
    use ::images::{encode, preprocess};
    use dataset::sample;

    use super::*;

    #[test]
    fn every_part_is_measured_on_three_images() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..3 {
            let jpeg = encode::jpeg(&sample::picture(1, number), 80).unwrap();
            std::fs::write(folder.path().join(format!("{number}.jpg")), jpeg).unwrap();
        }
        let mut settings = Settings::default();
        settings.model.model_device = "cpu".to_owned();
        settings.model.model_precision = "fp32".to_owned();
        settings.model.model_weights = Some("random:0".to_owned());
        settings.model.cache_dir = Some(folder.path().join("cache"));
        let options = BenchOptions::quick(folder.path());
        let config = ModelConfig::from_settings(&settings.model).unwrap();
        let images = BenchImages::read(folder.path(), 1 << 20).unwrap();
        assert_eq!(images.files.len(), 3);

        let report = measure(&settings, &config, &options, &images).unwrap();
        assert_eq!(report.decode.iter().map(|row| row.threads).min(), Some(1));
        assert!(report.model.iter().all(|row| row.images_per_second > 0.0 && row.batch == 2));
        assert_eq!(report.pipeline.len(), 2);
        let text = report.to_string();
        assert!(text.contains("decode") && text.contains("img/s"), "{text}");

        let (embeddings, pixels) = (folder.path().join("embeddings.npy"), folder.path().join("pixels.npy"));
        let options =
            BenchOptions { embeddings: Some(embeddings.clone()), pixels: Some(pixels.clone()), ..options };
        run(&settings, &options).unwrap();
        assert_eq!(std::fs::metadata(embeddings).unwrap().len(), 128 + 3 * 512 * 4);
        let side = preprocess::SIDE as u64;
        assert_eq!(std::fs::metadata(pixels).unwrap().len(), 128 + 3 * side * side * 3);
    }
}
