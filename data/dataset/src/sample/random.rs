//! Seeded random numbers that are independent of the order in which they are drawn.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;

/// Returns the generator for object `number` and one purpose, so that objects can be drawn in any order.
#[must_use]
pub fn random(seed: u64, purpose: u32, number: u32) -> ChaCha12Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..12].copy_from_slice(&purpose.to_le_bytes());
    key[12..16].copy_from_slice(&number.to_le_bytes());
    ChaCha12Rng::from_seed(key)
}

/// Draws from the standard normal distribution (Box and Muller 1958).
pub fn gaussian(random: &mut impl Rng) -> f64 {
    let (u, v): (f64, f64) = (random.random_range(f64::EPSILON..1.0), random.random_range(0.0..1.0));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
