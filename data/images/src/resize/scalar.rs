//! The two passes without vector instructions: what the others must equal.

use super::{
    rows::Rows,
    weights::{FRACTION_BITS, HALF, Windows},
};

/// Resamples a row of RGB pixels; `windows` has the weights of each pixel of `target`.
pub(super) fn horizontal(windows: &Windows, row: &[u8], target: &mut [u8]) {
    let (pixels, target) = (row.as_chunks::<3>().0, target.as_chunks_mut::<3>().0);
    for ((first, weights), target) in windows.iter().zip(target) {
        let mut sums = [HALF; 3];
        for (pixel, weight) in pixels[first..].iter().zip(weights) {
            for (sum, value) in sums.iter_mut().zip(pixel) {
                *sum += u32::from(*value) * weight;
            }
        }
        *target = sums.map(to_byte);
    }
}

/// Computes the bytes of an output row from `start` on: the weighted sums of the rows from `first` on.
pub(super) fn vertical(rows: Rows<'_>, first: usize, weights: &[u32], start: usize, target: &mut [u8]) {
    const WIDTH: usize = 64;
    for (block, target) in target.chunks_mut(WIDTH).enumerate() {
        let mut sums = [HALF; WIDTH];
        for (index, weight) in (first..).zip(weights) {
            let values = &rows.row(index)[start + block * WIDTH..][..target.len()];
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += u32::from(*value) * weight;
            }
        }
        for (byte, sum) in target.iter_mut().zip(sums) {
            *byte = to_byte(sum);
        }
    }
}

fn to_byte(sum: u32) -> u8 {
    (sum >> FRACTION_BITS).min(255) as u8
}
