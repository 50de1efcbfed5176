//! Quality gates of the model: comparisons with torchvision at test time.
//!
//! Raw cosine similarity accepts broken pipelines, so the reference's mean is subtracted before comparing
//! features. Common mistakes in a pipeline must fail the gate.

use std::{fs, path::PathBuf, str::FromStr};

use common::config::Precision;
use dataset::sample;
use images::preprocess::{self, Pixels};
use tests::{python::reference, real_data::real_data};
use worker::{
    inference::Model,
    model::{Backbone, ModelConfig, StateDict, WeightsSource},
};

const DIMENSIONS: usize = 512;
/// What the order of sums in fp32 may change, in standard deviations of the features.
const MAX_FP32_ERROR: f64 = 1e-4;
/// Deliberately broken pipelines of `reference.py`, in its order.
const BROKEN: [&str; 4] = ["bgr", "half-normalised", "nearest", "shuffled"];

/// A folder with sample images and random weights, readable by the worker and by Python.
struct Fixture {
    folder: tempfile::TempDir,
    state: StateDict,
    images: Vec<PathBuf>,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = WeightsSource::Random(0).load(&folder.path().join("cache")).unwrap();
        state.save(&folder.path().join("weights.safetensors")).unwrap();
        sample::generate(&folder.path().join("sample"), 48, 3, |_| ()).unwrap();
        let images = files(&folder.path().join("sample/thumbnails"), 48);
        Self { folder, state, images }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn pixels(&self) -> Vec<Pixels> {
        self.images.iter().map(|path| preprocess::pixels(&fs::read(path).unwrap()).unwrap()).collect()
    }

    fn features(&self, precision: Precision) -> Vec<f32> {
        let backbone = Backbone::on_cpu(&self.state, precision).unwrap();
        self.pixels().chunks(32).flat_map(|batch| backbone.features(batch).unwrap()).collect()
    }

    /// Returns the reference features of the correct pipeline, then of each broken one.
    fn reference(&self) -> Vec<Vec<f32>> {
        let (weights, out) = (self.path("weights.safetensors"), self.path("features"));
        let mut arguments = vec!["features", &weights];
        let images: Vec<String> = self.images.iter().map(|path| path.display().to_string()).collect();
        arguments.extend(images.iter().map(String::as_str));
        arguments.extend(["--out", &out]);
        reference(&arguments);
        let values = floats(&fs::read(&out).unwrap());
        values.chunks_exact(self.images.len() * DIMENSIONS).map(<[f32]>::to_vec).collect()
    }
}

fn files(folder: &std::path::Path, count: usize) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.truncate(count);
    files
}

/// The gate's measurements.
#[derive(Debug)]
struct Gate {
    min_centred_cosine: f64,
    mismatched_neighbours: usize,
}

impl Gate {
    fn of(features: &[f32], reference: &[f32]) -> Self {
        let rows = reference.len() / DIMENSIONS;
        let mean: Vec<f64> = (0..DIMENSIONS)
            .map(|column| {
                (0..rows).map(|row| f64::from(reference[row * DIMENSIONS + column])).sum::<f64>()
                    / rows as f64
            })
            .collect();
        let centre = |values: &[f32]| -> Vec<Vec<f64>> {
            let row =
                |row: &[f32]| row.iter().zip(&mean).map(|(value, mean)| f64::from(*value) - mean).collect();
            values.chunks_exact(DIMENSIONS).map(row).collect()
        };
        let (ours, theirs) = (centre(features), centre(reference));
        let least = ours.iter().zip(&theirs).map(|(a, b)| cosine(a, b)).fold(f64::INFINITY, f64::min);
        let nearest = |row: &Vec<f64>| {
            let cosines = theirs.iter().map(|other| cosine(row, other));
            cosines.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(at, _)| at)
        };
        let mismatched = ours.iter().enumerate().filter(|(at, row)| nearest(row) != Some(*at)).count();
        Self { min_centred_cosine: least, mismatched_neighbours: mismatched }
    }

    fn passes(&self) -> bool {
        self.min_centred_cosine >= 0.98 && self.mismatched_neighbours == 0
    }
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect()
}

/// Returns the standard deviation of all values.
fn deviation(values: &[f32]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let variance = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / count;
    variance.sqrt()
}

/// Returns the largest difference, in standard deviations of all values of the reference.
fn largest_error_in_deviations(features: &[f32], reference: &[f32]) -> f64 {
    let error = features.iter().zip(reference).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
    error / deviation(reference)
}

#[test]
fn features_match_torchvision_and_broken_pipelines_fail_the_gate() {
    let mut fixture = Fixture::new();
    if let Some(real) = real_data("features_match_torchvision_and_broken_pipelines_fail_the_gate") {
        fixture.images.extend(files(&real.join("fitness-3200/thumbnails"), 48));
    }
    let reference = fixture.reference();
    let bf16 = Gate::of(&fixture.features(Precision::Bf16), &reference[0]);
    tests::print_line(&format!("bf16 against torchvision: {bf16:?}"));
    assert!(bf16.passes(), "{bf16:?}");

    let fp32 = fixture.features(Precision::Fp32);
    assert!(Gate::of(&fp32, &reference[0]).passes());
    let error = largest_error_in_deviations(&fp32, &reference[0]);
    tests::print_line(&format!("fp32: largest error {error:.2e} of the features' deviation"));
    // The pixels are the same, so that only the order of sums differs.
    assert!(error <= MAX_FP32_ERROR, "largest error {error:.2e} of the features' deviation");

    for (name, broken) in BROKEN.iter().zip(&reference[1..]) {
        let gate = Gate::of(broken, &reference[0]);
        tests::print_line(&format!("{name}: {gate:?}"));
        assert!(!gate.passes(), "the gate accepted a broken pipeline: {name} {gate:?}");
    }
}

#[test]
fn fp32_arithmetic_matches_torchvision() {
    let mut fixture = Fixture::new();
    // Lossless images of the network's input size need neither JPEG decoding nor resizing.
    let folder = fixture.folder.path().join("exact");
    fs::create_dir(&folder).unwrap();
    for (at, pixels) in fixture.pixels().into_iter().take(16).enumerate() {
        image::save_buffer(folder.join(format!("{at:02}.png")), &pixels.0, 224, 224, image::ColorType::Rgb8)
            .unwrap();
    }
    fixture.images = files(&folder, 16);
    let reference = fixture.reference().swap_remove(0);
    let ours = fixture.features(Precision::Fp32);
    let error = largest_error_in_deviations(&ours, &reference);
    tests::print_line(&format!("largest error {error:.2e} of the features' deviation"));
    assert!(error <= MAX_FP32_ERROR, "largest error {error:.2e} of the features' deviation");
}

#[test]
#[ignore = "it computes 3,200 thumbnails twice, which takes minutes"]
fn fp32_features_of_every_real_thumbnail_match_torchvision() {
    let Some(real) = real_data("fp32_features_of_every_real_thumbnail_match_torchvision") else { return };
    let (mut fixture, folder) = (Fixture::new(), real.join("fitness-3200/thumbnails"));
    fixture.images = files(&folder, usize::MAX);
    let out = fixture.path("correct");
    let folder = folder.display().to_string();
    reference(&["correct", &fixture.path("weights.safetensors"), &folder, "--out", &out]);
    let theirs = floats(&fs::read(&out).unwrap());
    let ours = fixture.features(Precision::Fp32);
    assert_eq!((ours.len(), theirs.len()), (fixture.images.len() * DIMENSIONS, ours.len()));
    let deviation = deviation(&theirs);
    let error = |(a, b): (&f32, &f32)| f64::from((a - b).abs()) / deviation;
    let errors = ours.chunks_exact(DIMENSIONS).zip(theirs.chunks_exact(DIMENSIONS));
    let errors = errors.map(|(ours, theirs)| ours.iter().zip(theirs).map(error).fold(0.0, f64::max));
    let (worst, error) = errors.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    tests::print_line(&format!(
        "{} thumbnails: largest error {error:.2e} of the features' deviation, of {}",
        fixture.images.len(),
        fixture.images[worst].display()
    ));
    assert!(error <= MAX_FP32_ERROR);
}

#[test]
fn random_weights_distinguish_images() {
    let fixture = Fixture::new();
    let features = fixture.features(Precision::Fp32);
    let rows: Vec<Vec<f64>> =
        features.chunks_exact(DIMENSIONS).map(|row| row.iter().map(|v| f64::from(*v)).collect()).collect();
    let mut cosines: Vec<f64> = (0..rows.len())
        .flat_map(|a| (0..a).map(move |b| (a, b)))
        .map(|(a, b)| cosine(&rows[a], &rows[b]))
        .collect();
    cosines.sort_by(f64::total_cmp);
    let median = cosines[cosines.len() / 2];
    tests::print_line(&format!("median cosine of different thumbnails: {median:.4}"));
    assert!(median < 0.98, "random weights map all images to one direction: median cosine {median}");
}

#[test]
fn both_file_formats_load_the_same_weights() {
    let fixture = Fixture::new();
    let (safetensors, pth) = (fixture.path("weights.safetensors"), fixture.path("weights.pth"));
    reference(&["save-pth", &safetensors, &pth]);
    let load = |path: &str| WeightsSource::from_str(path).unwrap().load(fixture.folder.path()).unwrap();
    assert_eq!(load(&safetensors), fixture.state);
    assert_eq!(load(&pth), fixture.state);
}

#[test]
fn unsupported_weights_files_are_refused_with_the_reason() {
    let fixture = Fixture::new();
    reference(&["hostile", &fixture.path("")]);
    fs::write(fixture.path("truncated.pth"), &fs::read(fixture.path("resnet18.pth")).unwrap()[..100_000])
        .unwrap();
    fs::write(fixture.path("garbage.safetensors"), b"not weights").unwrap();
    let check = |name: &str, want: &str| {
        let error = WeightsSource::from_str(&fixture.path(name))
            .unwrap()
            .load(fixture.folder.path())
            .unwrap_err()
            .to_string();
        assert!(error.contains(want) && error.contains(name), "{error}");
    };
    check("resnet18.pth", "look like ResNet18");
    check("old.pth", "format used before PyTorch 1.6; convert it with: python -c");
    check("hostile.pth", "'posix.system', which is not a tensor");
    check("whole-model.pth", "save model.state_dict()");
    check("truncated.pth", "corrupt or truncated");
    check("garbage.safetensors", "neither a .pth nor a .safetensors file");
    check("missing.pth", "SUBWATCH_MODEL_WEIGHTS");
    assert!(!std::path::Path::new("must-not-exist").exists(), "code in a weights file was executed");
}

#[tokio::test]
async fn embeddings_are_independent_of_batching_and_threads() {
    let fixture = Fixture::new();
    let pixels: Vec<Pixels> = fixture.pixels().into_iter().take(12).collect();
    for precision in [Precision::Fp32, Precision::Bf16] {
        let backbone = Backbone::on_cpu(&fixture.state, precision).unwrap();
        let whole = backbone.features(&pixels).unwrap();
        for size in [1, 5] {
            let parts: Vec<f32> =
                pixels.chunks(size).flat_map(|batch| backbone.features(batch).unwrap()).collect();
            assert_eq!(parts, whole, "{precision} in batches of {size}");
        }
    }
    let backbone = Backbone::on_cpu(&fixture.state, Precision::Bf16).unwrap();
    let embeddings = backbone.embed(&pixels).unwrap();
    let config = ModelConfig {
        weights: WeightsSource::Random(0),
        precision: "bf16".parse().unwrap(),
        device: "cpu".parse().unwrap(),
        threads: Some(1),
        cache_dir: fixture.folder.path().join("cache"),
    };
    let model = tokio::task::spawn_blocking(|| Model::start(config)).await.unwrap().unwrap();
    let embedder = model.embedder();
    assert_eq!(embedder.space(), backbone.space());
    let answers = pixels.into_iter().map(|pixels| {
        let embedder = embedder.clone();
        tokio::spawn(async move { embedder.embed(&pixels).await.unwrap() })
    });
    for (answer, want) in answers.collect::<Vec<_>>().into_iter().zip(embeddings) {
        assert_eq!(answer.await.unwrap(), want);
    }
}
