//! Random numbers that depend on a seed and on what they are for, and not on the order of drawing.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;

/// A generator for one purpose and one thing, so that drawing in any order gives the same.
#[must_use]
pub fn random(seed: u64, purpose: u32, number: u32) -> ChaCha12Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..12].copy_from_slice(&purpose.to_le_bytes());
    key[12..16].copy_from_slice(&number.to_le_bytes());
    ChaCha12Rng::from_seed(key)
}

/// A normal deviate (Box and Muller 1958).
pub fn gaussian(random: &mut impl Rng) -> f64 {
    let (u, v): (f64, f64) = (random.random_range(f64::EPSILON..1.0), random.random_range(0.0..1.0));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
