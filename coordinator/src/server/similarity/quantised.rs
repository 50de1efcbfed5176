//! Normalised embeddings in bytes, and bounds of the cosines that they have.
//!
//! A row x (512 f32 of length 1) is stored as bytes v, a scale s and a residual r ≥ ‖x − s·v‖. The query q is quantised
//! finer, as 16-bit numbers w with a scale t and a residual ε ≥ ‖q − t·w‖. The product v·w is an exact 32-bit integer:
//! at most 512 · 127 · 32,767 < 2³¹.
//!
//! # The bound
//!
//! Let c be the cosine as [`exact::cosine`](super::exact::cosine) computes it in f32, and a = s·t·(v·w).
//! Then |c − a| ≤ r·(N + ε) + N·ε + 64·u, where N = 1 + 2⁻²⁰ exceeds the lengths of x and q, and u = 2⁻²⁴:
//!
//! 1. x·q − a = (x − s·v)·q + s·v·(q − t·w). By Cauchy–Schwarz, that is at most r·‖q‖ + ‖s·v‖·ε, and ‖s·v‖ ≤ N + r.
//! 2. In c, each of the 512 products is rounded, and passes through at most 32 additions within its lane and 16 of the
//!    lanes. With at most 49 roundings each, |c − x·q| ≤ 49u/(1 − 49u) · ‖x‖·‖q‖ < 50u. Nothing underflows: the
//!    quotients of numbers that are 2⁻²⁴ to 2¹⁶ large are far above the least normal f32, as are their products.
//! 3. The conversion of v·w and the two products that yield a add 3 roundings of a number below 1.2: less than 4u. So
//!    does adding the margin, which is below 1, to a: less than 3u. Rounding the margin itself: less than 3u.
//!
//! The residuals are computed in f64 and enlarged by 2⁻²⁰, which exceeds the errors of that computation. A row or query of
//! length 0 has codes, scale and residual 0, and the cosine 0.

use common::embedding::DIMENSIONS;

/// N.
const MAX_LENGTH: f64 = 1.0 + ENLARGEMENT;
/// 2⁻²⁰.
const ENLARGEMENT: f64 = 1.0 / (1 << 20) as f64;
/// 64·u.
const ROUNDING: f64 = 64.0 / (1 << 24) as f64;
/// Partial sums of a product. With 8, the compiler multiplies and adds pairs in one instruction (`pmaddwd`) on any x86-64;
/// with more, it takes 2 to 5 times as long.
const LANES: usize = 8;

/// A row, 520 bytes.
pub(super) struct QuantisedRow {
    codes: [i8; DIMENSIONS],
    scale: f32,
    residual: f32,
}

/// What is known of a cosine without computing it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) lower: f32,
    pub(super) upper: f32,
}

pub(super) struct QuantisedQuery {
    codes: [i16; DIMENSIONS],
    scale: f32,
    /// N + ε.
    per_residual: f32,
    /// N·ε + 64·u.
    constant: f32,
}

impl QuantisedRow {
    pub(super) fn new(row: &[f32; DIMENSIONS]) -> Self {
        let (codes, scale) = quantised::<{ i8::MAX as i32 }>(row);
        Self { codes: codes.map(|code| code as i8), scale, residual: residual(row, &codes, scale) as f32 }
    }
}

impl QuantisedQuery {
    pub(super) fn new(query: &[f32; DIMENSIONS]) -> Self {
        let (codes, scale) = quantised::<{ i16::MAX as i32 }>(query);
        let residual = residual(query, &codes, scale);
        Self {
            codes: codes.map(|code| code as i16),
            scale,
            per_residual: (MAX_LENGTH + residual) as f32,
            constant: (MAX_LENGTH * residual + ROUNDING) as f32,
        }
    }

    pub(super) fn bounds(&self, row: &QuantisedRow) -> Bounds {
        let product = dot(&row.codes, &self.codes);
        let approximate = product as f32 * row.scale * self.scale;
        let margin = row.residual * self.per_residual + self.constant;
        Bounds { lower: approximate - margin, upper: approximate + margin }
    }
}

fn dot(row: &[i8; DIMENSIONS], query: &[i16; DIMENSIONS]) -> i32 {
    let mut sums = [0; LANES];
    for (row, query) in row.as_chunks::<LANES>().0.iter().zip(query.as_chunks::<LANES>().0) {
        for ((sum, a), b) in sums.iter_mut().zip(row).zip(query) {
            *sum += i32::from(*a) * i32::from(*b);
        }
    }
    sums.iter().sum()
}

/// Returns integers from -`MAX` to `MAX`, and the scale that makes them the nearest to `values`.
fn quantised<const MAX: i32>(values: &[f32; DIMENSIONS]) -> ([i32; DIMENSIONS], f32) {
    let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    if largest == 0.0 {
        return ([0; DIMENSIONS], 0.0);
    }
    let steps = MAX as f32 / largest;
    // Rounds by cutting off a positive number, for which the oldest x86-64 has an instruction.
    let code = |value: f32| (value * steps + (MAX as f32 + 0.5)) as i32 - MAX;
    (values.map(|value| code(value).clamp(-MAX, MAX)), largest / MAX as f32)
}

fn residual(values: &[f32; DIMENSIONS], codes: &[i32; DIMENSIONS], scale: f32) -> f64 {
    let mut sums = [0.0; LANES];
    for (values, codes) in values.as_chunks::<LANES>().0.iter().zip(codes.as_chunks::<LANES>().0) {
        for ((sum, value), code) in sums.iter_mut().zip(values).zip(codes) {
            let difference = f64::from(*value) - f64::from(scale) * f64::from(*code);
            *sum += difference * difference;
        }
    }
    sums.iter().sum::<f64>().sqrt() * (1.0 + ENLARGEMENT)
}
