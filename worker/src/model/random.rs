//! Random weights, to try the system without pretrained ones: He initialisation and calibrated batch normalisation.
//!
//! An uncalibrated random ResNet maps all images to nearly the same direction, so each layer's buffers are set to the
//! statistics of a seeded set of generated images. Invariant: a seed gives the same weights for any number of threads,
//! since the calibration runs on one. The result is cached under its hash.

use std::path::{Path, PathBuf};

use dataset::sample;
use images::preprocess;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use tch::{Kind, Tensor as Torch};

use super::{
    architecture::{self, Layer, NORM, NORM_EPSILON},
    batch_memory::MemorySource,
    error::ModelError,
    state_dict::{StateDict, Tensor},
    weights_file,
};

/// Increment it when the initialisation or the calibration changes.
const VERSION: u32 = 1;
/// Number of images for the calibration.
const IMAGES: u32 = 32;
/// Digits of the hash in a cached file's name.
const HASH_DIGITS: usize = 16;

/// Returns the calibrated weights of `seed`, from the cache if possible.
pub(super) fn load(seed: u64, cache: &Path) -> Result<StateDict, ModelError> {
    let prefix = format!("random-{seed}-v{VERSION}-");
    if let Some(state) = read_cached(cache, &prefix) {
        return Ok(state);
    }
    tracing::info!(seed, "generating and calibrating random weights");
    let state = calibrate(initialise(seed), seed)?;
    let path = cache.join(format!("{prefix}{}.safetensors", state.digest().prefix(HASH_DIGITS)));
    if let Err(error) = write_cached(&state, &path) {
        tracing::debug!(%error, "cannot cache the weights");
    }
    Ok(state)
}

fn read_cached(cache: &Path, prefix: &str) -> Option<StateDict> {
    let is_cached = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|n| n.starts_with(prefix))
    };
    let path = std::fs::read_dir(cache).ok()?.flatten().map(|entry| entry.path()).find(is_cached)?;
    let state = weights_file::load(&path).ok()?;
    let digest = path.file_stem()?.to_str()?.strip_prefix(prefix)?.to_owned();
    (state.digest().prefix(HASH_DIGITS) == digest).then_some(state)
}

fn write_cached(state: &StateDict, path: &Path) -> Result<(), String> {
    let folder = path.parent().ok_or("the cached file has no parent folder")?;
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let file = tempfile::NamedTempFile::new_in(folder).map_err(|error| error.to_string())?;
    state.save(file.path()).map_err(|error| error.to_string())?;
    file.persist(path).map_err(|error| error.to_string())?;
    Ok(())
}

/// Normal deviates with variance 2 ÷ (outputs · kernel²): He et al. 2015 with fan-out, as in torchvision.
fn initialise(seed: u64) -> StateDict {
    let mut random = ChaCha12Rng::seed_from_u64(seed);
    let mut state = StateDict::default();
    for layer in architecture::layers() {
        let shape = layer.weight_shape();
        let std = (2.0 / (layer.outputs * layer.kernel * layer.kernel) as f64).sqrt();
        let values =
            (0..shape.iter().product::<i64>()).map(|_| (std * gaussian(&mut random)) as f32).collect();
        state.0.insert(format!("{}.weight", layer.conv), Tensor { shape, values });
        for (tensor, value) in NORM.into_iter().zip([1.0, 0.0, 0.0, 1.0]) {
            let flat = Tensor { shape: vec![layer.outputs], values: vec![value; layer.outputs as usize] };
            state.0.insert(format!("{}.{tensor}", layer.norm), flat);
        }
    }
    state
}

/// A normal deviate (Marsaglia's polar method).
fn gaussian(random: &mut ChaCha12Rng) -> f64 {
    loop {
        let (u, v): (f64, f64) = (random.random_range(-1.0..1.0), random.random_range(-1.0..1.0));
        let square = u * u + v * v;
        if square > 0.0 && square < 1.0 {
            return u * (-2.0 * square.ln() / square).sqrt();
        }
    }
}

/// Sets each layer's buffers to the mean and variance of its input, layer by layer.
fn calibrate(mut state: StateDict, seed: u64) -> Result<StateDict, ModelError> {
    let threads = tch::get_num_threads();
    tch::set_num_threads(1);
    let calibrated = tch::no_grad(|| run_calibration(&mut state, seed));
    tch::set_num_threads(threads);
    calibrated.map(|()| state)
}

fn run_calibration(state: &mut StateDict, seed: u64) -> Result<(), ModelError> {
    let mut pictures = Vec::new();
    for number in 0..IMAGES {
        let picture = preprocess::resize(&sample::picture(seed, number));
        pictures.push(picture.map_err(|error| ModelError::Weights(error.to_string()))?);
    }
    let mut memory = MemorySource::on_cpu(Kind::Float).allocate(pictures.len())?;
    memory.fill(&pictures);
    let images = memory.images()?.f_permute([0, 3, 1, 2])?;
    let mut x = convolve_and_normalise(state, &architecture::stem(), &images)?.f_relu()?;
    x = x.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?;
    for block in architecture::blocks() {
        let inner = convolve_and_normalise(state, &block.first, &x)?.f_relu()?;
        let residual = match &block.shortcut {
            Some(layer) => convolve_and_normalise(state, layer, &x)?,
            None => x.shallow_clone(),
        };
        x = convolve_and_normalise(state, &block.second, &inner)?.f_add(&residual)?.f_relu()?;
    }
    Ok(())
}

/// Convolves, stores the statistics of every channel in `state`, and normalises by them.
fn convolve_and_normalise(state: &mut StateDict, layer: &Layer, x: &Torch) -> Result<Torch, ModelError> {
    let weight = state.get(&format!("{}.weight", layer.conv));
    let weight = Torch::f_from_slice(&weight.values)?.f_reshape(&weight.shape)?;
    let padding = layer.padding();
    let y = x.f_conv2d(&weight, None::<Torch>, [layer.stride; 2], [padding; 2], [1, 1], 1)?;
    let mean = y.f_mean_dim([0_i64, 2, 3].as_slice(), true, Kind::Float)?;
    let centred = y.f_sub(&mean)?;
    let variance = centred.f_square()?.f_mean_dim([0_i64, 2, 3].as_slice(), true, Kind::Float)?;
    for (tensor, values) in [("running_mean", &mean), ("running_var", &variance)] {
        let values = Vec::<f32>::try_from(values.f_reshape([-1])?)?;
        state.0.insert(format!("{}.{tensor}", layer.norm), Tensor { shape: vec![layer.outputs], values });
    }
    Ok(centred.f_mul(&variance.f_add_scalar(NORM_EPSILON)?.f_rsqrt()?)?)
}
