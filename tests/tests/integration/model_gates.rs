//! The quality gates of the model, against torchvision and Pillow at test time.
//!
//! Raw cosine passes broken pipelines, so features are compared after the reference's mean is subtracted.
//! Each way a pipeline is commonly broken must fail the gate.

use std::{fs, path::PathBuf, str::FromStr};

use dataset::sample;
use images::{
    decode, picture,
    preprocess::{self, Pixels},
};
use tests::{python::reference, real_data::real_data};
use worker::{
    inference::Model,
    model::{Backbone, ModelConfig, Precision, StateDict, WeightsSource},
};

const DIMENSIONS: usize = 512;
/// Pipelines that `reference.py` breaks on purpose, in its order.
const BROKEN: [&str; 4] = ["bgr", "half-normalised", "nearest", "shuffled"];

/// A folder with images, and weights as this program makes and Python reads them.
struct Bench {
    folder: tempfile::TempDir,
    state: StateDict,
    images: Vec<PathBuf>,
}

impl Bench {
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

    /// Reference features: of the correct pipeline, and of each broken one.
    fn reference(&self) -> Vec<Vec<f32>> {
        let (weights, out) = (self.path("weights.safetensors"), self.path("features"));
        let mut arguments = vec!["features", &weights];
        let images: Vec<String> = self.images.iter().map(|path| path.display().to_string()).collect();
        arguments.extend(images.iter().map(String::as_str));
        arguments.extend(["--out", &out]);
        reference(&arguments);
        let bytes = fs::read(&out).unwrap();
        let values: Vec<f32> =
            bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
        values.chunks_exact(self.images.len() * DIMENSIONS).map(<[f32]>::to_vec).collect()
    }
}

fn files(folder: &std::path::Path, count: usize) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.truncate(count);
    files
}

/// What the gate looks at.
#[derive(Debug)]
struct Gate {
    least_centred_cosine: f64,
    not_their_own_neighbour: usize,
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
        let strangers = ours.iter().enumerate().filter(|(at, row)| nearest(row) != Some(*at)).count();
        Self { least_centred_cosine: least, not_their_own_neighbour: strangers }
    }

    fn passes(&self) -> bool {
        self.least_centred_cosine >= 0.98 && self.not_their_own_neighbour == 0
    }
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn features_are_torchvisions_and_broken_pipelines_fail_the_gate() {
    let mut bench = Bench::new();
    if let Some(real) = real_data("features_are_torchvisions_and_broken_pipelines_fail_the_gate") {
        bench.images.extend(files(&real.join("fitness-3200/thumbnails"), 48));
    }
    let reference = bench.reference();
    let bf16 = Gate::of(&bench.features(Precision::Bf16), &reference[0]);
    tests::say(&format!("bf16 against torchvision: {bf16:?}"));
    assert!(bf16.passes(), "{bf16:?}");

    let fp32 = bench.features(Precision::Fp32);
    let mean = reference[0].iter().map(|v| f64::from(*v)).sum::<f64>() / reference[0].len() as f64;
    let std = (reference[0].iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>()
        / reference[0].len() as f64)
        .sqrt();
    let error = fp32.iter().zip(&reference[0]).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
    tests::say(&format!("fp32: greatest error {error:.2e}, feature standard deviation {std:.3}"));
    // Our decoder and resize may differ from Pillow's by one step of 255 here and there; on identical
    // pixels (see below) the arithmetic itself stays under 1e-4.
    assert!(Gate::of(&fp32, &reference[0]).passes());

    for (name, broken) in BROKEN.iter().zip(&reference[1..]) {
        let gate = Gate::of(broken, &reference[0]);
        tests::say(&format!("{name}: {gate:?}"));
        assert!(!gate.passes(), "the gate lets a broken pipeline pass: {name} {gate:?}");
    }
}

#[test]
fn the_arithmetic_in_fp32_is_torchvisions() {
    let mut bench = Bench::new();
    // Pictures of the network's own size in a lossless format: neither decoder nor resize takes part.
    let folder = bench.folder.path().join("exact");
    fs::create_dir(&folder).unwrap();
    for (at, pixels) in bench.pixels().into_iter().take(16).enumerate() {
        image::save_buffer(folder.join(format!("{at:02}.png")), &pixels.0, 224, 224, image::ColorType::Rgb8)
            .unwrap();
    }
    bench.images = files(&folder, 16);
    let reference = bench.reference().swap_remove(0);
    let ours = bench.features(Precision::Fp32);
    let mean = reference.iter().map(|v| f64::from(*v)).sum::<f64>() / reference.len() as f64;
    let std = (reference.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>()
        / reference.len() as f64)
        .sqrt();
    let error = ours.iter().zip(&reference).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
    tests::say(&format!(
        "greatest error {error:.2e}, {:.2e} of the feature standard deviation {std:.3}",
        error / std
    ));
    assert!(error <= 1e-4 * std, "greatest error {error:.2e} against a standard deviation of {std:.3}");
}

#[test]
fn random_weights_tell_images_apart() {
    let bench = Bench::new();
    let features = bench.features(Precision::Fp32);
    let rows: Vec<Vec<f64>> =
        features.chunks_exact(DIMENSIONS).map(|row| row.iter().map(|v| f64::from(*v)).collect()).collect();
    let mut cosines: Vec<f64> = (0..rows.len())
        .flat_map(|a| (0..a).map(move |b| (a, b)))
        .map(|(a, b)| cosine(&rows[a], &rows[b]))
        .collect();
    cosines.sort_by(f64::total_cmp);
    let median = cosines[cosines.len() / 2];
    tests::say(&format!("median cosine of different thumbnails: {median:.4}"));
    assert!(median < 0.98, "calibrated weights still map all images to one direction: {median}");
}

#[test]
fn resize_is_pillows_on_identical_pixels() {
    let bench = Bench::new();
    let mut images = bench.images.iter().take(12).cloned().collect::<Vec<_>>();
    if let Some(real) = real_data("resize_is_pillows_on_identical_pixels") {
        images.extend(files(&real.join("fitness-3200/thumbnails"), 12));
    }
    let out = bench.path("resized");
    let paths: Vec<String> = images.iter().map(|path| path.display().to_string()).collect();
    let mut arguments = vec!["resize"];
    arguments.extend(paths.iter().map(String::as_str));
    arguments.extend(["--out", &out]);
    reference(&arguments);
    let mut rest = fs::read(&out).unwrap();
    for path in &images {
        let size = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
        let (width, height) = (size(0), size(4));
        let decoded = 8 + (width * height * 3) as usize;
        let picture = picture::Picture { width, height, rgb: rest[8..decoded].to_vec() };
        let want = &rest[decoded..decoded + 224 * 224 * 3];
        let ours = preprocess::resize(&picture).unwrap().0;
        let greatest = ours.iter().zip(want).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(greatest <= 1, "{}: a pixel differs by {greatest}", path.display());
        let own = decode::decode(&fs::read(path).unwrap()).unwrap();
        let differing = own.rgb.iter().zip(&picture.rgb).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(differing <= 1, "{}: a decoded pixel differs by {differing}", path.display());
        rest.drain(..decoded + 224 * 224 * 3);
    }
}

#[test]
fn both_file_formats_hold_the_same_weights() {
    let bench = Bench::new();
    let (safetensors, pth) = (bench.path("weights.safetensors"), bench.path("weights.pth"));
    reference(&["save-pth", &safetensors, &pth]);
    let load = |path: &str| WeightsSource::from_str(path).unwrap().load(bench.folder.path()).unwrap();
    assert_eq!(load(&safetensors), bench.state);
    assert_eq!(load(&pth), bench.state);
}

#[test]
fn other_weights_files_are_refused_with_the_reason() {
    let bench = Bench::new();
    reference(&["hostile", &bench.path("")]);
    fs::write(bench.path("truncated.pth"), &fs::read(bench.path("resnet18.pth")).unwrap()[..100_000])
        .unwrap();
    fs::write(bench.path("garbage.safetensors"), b"no weights at all").unwrap();
    let check = |name: &str, want: &str| {
        let error = WeightsSource::from_str(&bench.path(name))
            .unwrap()
            .load(bench.folder.path())
            .unwrap_err()
            .to_string();
        assert!(error.contains(want) && error.contains(name), "{error}");
    };
    check("resnet18.pth", "look like ResNet18");
    check("old.pth", "format of before PyTorch 1.6; convert it with: python -c");
    check("hostile.pth", "'posix.system', which is no tensor");
    check("whole-model.pth", "save model.state_dict()");
    check("truncated.pth", "damaged or truncated");
    check("garbage.safetensors", "no weights file");
    check("missing.pth", "SUBWATCH_MODEL_WEIGHTS");
    assert!(!std::path::Path::new("must-not-exist").exists(), "code of a weights file was run");
}

#[tokio::test]
async fn bits_depend_neither_on_the_batch_nor_on_the_threads() {
    let bench = Bench::new();
    let pixels: Vec<Pixels> = bench.pixels().into_iter().take(12).collect();
    let backbone = Backbone::on_cpu(&bench.state, Precision::Bf16).unwrap();
    let whole = backbone.features(&pixels).unwrap();
    for size in [1, 5] {
        let parts: Vec<f32> =
            pixels.chunks(size).flat_map(|batch| backbone.features(batch).unwrap()).collect();
        assert_eq!(parts, whole, "in batches of {size}");
    }
    let embeddings = backbone.embed(&pixels).unwrap();
    let config = ModelConfig {
        weights: WeightsSource::Random(0),
        precision: "bf16".parse().unwrap(),
        device: "cpu".parse().unwrap(),
        threads: Some(1),
        cache_dir: bench.folder.path().join("cache"),
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
