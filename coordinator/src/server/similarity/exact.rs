//! The cosine of two embeddings, which decides the order of results: computed in f32, of vectors normalised in f64.

use common::embedding::{DIMENSIONS, Embedding};

/// Partial sums of a dot product, which let the compiler use vector registers. The bounds of `quantised` depend on it.
const LANES: usize = 16;

/// Scales an embedding to length 1. A zero or non-finite one becomes zero, whose cosine to any other is 0.
pub(super) fn normalised(embedding: &Embedding) -> [f32; DIMENSIONS] {
    let mut values = embedding.to_f32();
    let length = values.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt();
    if length > 0.0 && length.is_finite() {
        for value in &mut values {
            *value = (f64::from(*value) / length) as f32;
        }
    } else {
        values.fill(0.0);
    }
    values
}

/// Returns the cosine of two normalised embeddings, from -1 to 1.
pub(super) fn cosine(a: &[f32; DIMENSIONS], b: &[f32; DIMENSIONS]) -> f32 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}
