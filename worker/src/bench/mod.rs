//! `subwatch-worker bench`: how fast this machine decodes, computes and does both, without any server.
//!
//! Owns the measurements and their report. Measures the code that jobs run, and owns none of it. `options` says what to
//! measure, `images` is what it is measured on, `decode`, `model` and `pipeline` are the measurements, `samples` their
//! statistics, `report` their form, `arrays` what is written for comparisons with other implementations.

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

/// Measures what `options` ask for and prints it.
///
/// # Errors
/// When there are no images, the model cannot be loaded or a measurement fails.
pub fn run(settings: &Settings, options: &BenchOptions) -> anyhow::Result<()> {
    let config = ModelConfig::from_settings(&settings.model)?;
    let images = BenchImages::read(&options.folder, settings.images.max_image_bytes)?;
    if options.embeddings.is_some() || options.pixels.is_some() {
        return arrays::write(&config, options, &images);
    }
    let report = measure(settings, &config, options, &images)?;
    let text = match options.output {
        Format::Table => report.to_string(),
        Format::Json => {
            serde_json::to_string_pretty(&report).expect("a report is plain data with text as keys") + "\n"
        }
    };
    std::io::stdout().write_all(text.as_bytes()).context("standard output cannot be written")
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
    fn it_measures_every_part_on_three_images() {
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
