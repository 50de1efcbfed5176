//! Normalised embeddings in bytes, and bounds of the cosines that they have.
//!
//! A row x (512 f32 of length 1) is stored as bytes v, a scale s and a residual r ≥ ‖x − m − s·v‖. The centre m, a vector
//! at most as long as x, is any that many rows are near: features of images have much in common, and what remains has a
//! smaller scale and residual. The query q is quantised finer, as 16-bit numbers w with a scale t and a residual
//! ε ≥ ‖q − t·w‖. The product v·w is an exact 32-bit integer: at most 512 · 127 · 32,767 < 2³¹.
//!
//! # The bound
//!
//! Let c be the cosine as [`exact::cosine`](super::exact::cosine) computes it in f32, and a = m·q + s·t·(v·w). Then
//! |c − a| ≤ r·(N + ε) + 2N·ε + 96·u, where N = 1 + 2⁻²⁰ exceeds the lengths of x and q, and u = 2⁻²⁴:
//!
//! 1. x·q − a = (x − m − s·v)·q + s·v·(q − t·w). By Cauchy–Schwarz, that is at most r·‖q‖ + ‖s·v‖·ε, and
//!    ‖s·v‖ ≤ ‖x‖ + ‖m‖ + r ≤ 2N + r.
//! 2. In c, each of the 512 products is rounded, and passes through at most 32 additions within its lane and 16 of the
//!    lanes. With at most 49 roundings each, |c − x·q| ≤ 49u/(1 − 49u) · ‖x‖·‖q‖ < 50u. Nothing underflows: the
//!    quotients of numbers that are 2⁻²⁴ to 2¹⁶ large are far above the least normal f32, as are their products.
//! 3. The conversion of v·w and its two products with the scales round a number below 2.4: less than 8u together. m·q is
//!    computed in f64 and rounded, and added to a number below 1.5: less than 4u. The margin is below 0.5; rounding it,
//!    and adding it to a, takes less than 5u.
//!
//! That is 67·u; the rest is for the rounding of f64 in the residuals, which are also enlarged by 2⁻²⁰, more than their
//! conversion to f32 takes away. A query of length 0 has codes, scale and residual 0, and the cosine 0 with any row.

use common::embedding::DIMENSIONS;

/// N.
const MAX_LENGTH: f64 = 1.0 + ENLARGEMENT;
/// 2⁻²⁰.
const ENLARGEMENT: f64 = 1.0 / (1 << 20) as f64;
/// 96·u.
const ROUNDING: f64 = 96.0 / (1 << 24) as f64;
/// Partial sums of a product. With 8, the compiler multiplies and adds pairs in one instruction (`pmaddwd`) on any x86-64;
/// with more, it takes 2 to 5 times as long.
const LANES: usize = 8;

/// The vector m, subtracted from rows before they are quantised: 0, or the mean of some rows.
pub(super) struct Centre(Box<[f32; DIMENSIONS]>);

/// A row, 520 bytes.
pub(super) struct QuantisedRow {
    codes: [i8; DIMENSIONS],
    scale: f32,
    residual: f32,
}

/// An interval that contains a cosine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) lower: f32,
    pub(super) upper: f32,
}

pub(super) struct QuantisedQuery {
    codes: [i16; DIMENSIONS],
    scale: f32,
    /// m·q.
    offset: f32,
    /// N + ε.
    per_residual: f32,
    /// 2N·ε + 96·u.
    constant: f32,
}

impl Default for Centre {
    fn default() -> Self {
        Self(Box::new([0.0; DIMENSIONS]))
    }
}

impl Centre {
    /// Returns the mean of some rows, of which there is one at least.
    pub(super) fn of(rows: &[[f32; DIMENSIONS]]) -> Self {
        let mut sums = [0.0; DIMENSIONS];
        for row in rows {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += f64::from(*value);
            }
        }
        Self(Box::new(sums.map(|sum| (sum / rows.len() as f64) as f32)))
    }
}

impl QuantisedRow {
    pub(super) fn new(row: &[f32; DIMENSIONS], centre: &Centre) -> Self {
        let mut values = row.map(f64::from);
        for (value, centre) in values.iter_mut().zip(&*centre.0) {
            *value -= f64::from(*centre);
        }
        let (codes, scale) = quantised::<{ i8::MAX as i32 }>(&values);
        Self { codes: codes.map(|code| code as i8), scale, residual: residual(&values, &codes, scale) as f32 }
    }
}

impl QuantisedQuery {
    pub(super) fn new(query: &[f32; DIMENSIONS], centre: &Centre) -> Self {
        let values = query.map(f64::from);
        let (codes, scale) = quantised::<{ i16::MAX as i32 }>(&values);
        let residual = residual(&values, &codes, scale);
        let offset: f64 =
            values.iter().zip(&*centre.0).map(|(value, centre)| value * f64::from(*centre)).sum();
        Self {
            codes: codes.map(|code| code as i16),
            scale,
            offset: offset as f32,
            per_residual: (MAX_LENGTH + residual) as f32,
            constant: (2.0 * MAX_LENGTH * residual + ROUNDING) as f32,
        }
    }

    pub(super) fn bounds(&self, row: &QuantisedRow) -> Bounds {
        let product = dot(&row.codes, &self.codes);
        let approximate = self.offset + product as f32 * row.scale * self.scale;
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
fn quantised<const MAX: i32>(values: &[f64; DIMENSIONS]) -> ([i32; DIMENSIONS], f32) {
    let values = values.map(|value| value as f32);
    let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    // Values that are less than any difference between rows count as 0.
    if largest < f32::EPSILON * f32::EPSILON {
        return ([0; DIMENSIONS], 0.0);
    }
    let steps = MAX as f32 / largest;
    // Rounds by cutting off a positive number, for which the oldest x86-64 has an instruction.
    let code = |value: f32| (value * steps + (MAX as f32 + 0.5)) as i32 - MAX;
    (values.map(|value| code(value).clamp(-MAX, MAX)), largest / MAX as f32)
}

/// Returns an upper bound of the length of what the codes leave over.
fn residual(values: &[f64; DIMENSIONS], codes: &[i32; DIMENSIONS], scale: f32) -> f64 {
    let mut sums = [0.0; LANES];
    for (values, codes) in values.as_chunks::<LANES>().0.iter().zip(codes.as_chunks::<LANES>().0) {
        for ((sum, value), code) in sums.iter_mut().zip(values).zip(codes) {
            let difference = value - f64::from(scale) * f64::from(*code);
            *sum += difference * difference;
        }
    }
    sums.iter().sum::<f64>().sqrt() * (1.0 + ENLARGEMENT)
}
