//! Pillow's weights of an antialiased bilinear filter, in fixed point.
//!
//! An output pixel is the weighted sum of the input pixels in its window. The weights are a triangle around the output
//! pixel's centre, as wide as two output pixels, or as two input pixels if the picture is enlarged. The floating-point
//! operations and their order are those of `precompute_coeffs` and `normalize_coeffs_8bpc` in Pillow's `Resample.c`.

use std::ops::Range;

/// Fractional bits of a weight. With 8 bits of a pixel and the sign, 2 bits of an `i32` are left for rounding.
pub(super) const FRACTION_BITS: u32 = 32 - 8 - 2;
/// Added to a sum of products, so that it is rounded and not truncated.
pub(super) const HALF: u32 = 1 << (FRACTION_BITS - 1);

/// One side of a picture, in pixels, before and after it is resized.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) input: usize,
    pub(super) output: usize,
}

impl Axis {
    /// Input pixels per output pixel. Pillow passes the size as an `f32`, which rounds sizes above 2²⁴.
    fn scale(self) -> f64 {
        f64::from(self.input as f32) / self.output as f64
    }

    /// The most input pixels that an output pixel depends on.
    pub(super) fn max_window(self) -> usize {
        self.scale().max(1.0).ceil() as usize * 2 + 1
    }

    /// Appends the weights of the output pixel at `index` to `weights`. Returns the input pixel of the first.
    pub(super) fn append_weights(self, index: usize, weights: &mut Vec<u32>) -> usize {
        let scale = self.scale();
        let support = scale.max(1.0);
        let centre = (index as f64 + 0.5) * scale;
        // Conversions truncate towards zero, and negative numbers become zero.
        let first = (centre - support + 0.5) as usize;
        let end = ((centre + support + 0.5) as usize).min(self.input);
        let distance = 1.0 / support;
        let triangle = |input: usize| (1.0 - ((input as f64 - centre + 0.5) * distance).abs()).max(0.0);
        let total: f64 = (first..end).map(triangle).sum();
        let unit = f64::from(1 << FRACTION_BITS);
        weights.extend((first..end).map(|input| (0.5 + triangle(input) / total * unit) as u32));
        first
    }
}

/// The weights of a range of output pixels.
pub(super) struct Windows {
    /// The first input pixel of each output pixel, and its place in `weights`.
    windows: Vec<(usize, Range<usize>)>,
    weights: Vec<u32>,
}

impl Windows {
    pub(super) fn new(axis: Axis, outputs: Range<usize>) -> Self {
        let mut weights = Vec::with_capacity(outputs.len() * axis.max_window());
        let window = |index| {
            let start = weights.len();
            let first = axis.append_weights(index, &mut weights);
            (first, start..weights.len())
        };
        let windows = outputs.map(window).collect();
        Self { windows, weights }
    }

    /// The first input pixel and the weights of each output pixel.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &[u32])> {
        self.windows.iter().map(|(first, place)| (*first, &self.weights[place.clone()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one() {
        for input in [1, 2, 3, 120, 223, 224, 225, 480, 1280, 10_007] {
            let axis = Axis { input, output: 224 };
            for (first, weights) in Windows::new(axis, 0..224).iter() {
                assert!(!weights.is_empty() && weights.len() <= axis.max_window());
                assert!(first + weights.len() <= input);
                let error = i64::from(weights.iter().sum::<u32>()) - (1 << FRACTION_BITS);
                assert!(error.unsigned_abs() <= weights.len() as u64, "{input}: {weights:?}");
            }
        }
    }

    #[test]
    fn a_side_that_keeps_its_length_is_copied() {
        for (index, (first, weights)) in
            Windows::new(Axis { input: 224, output: 224 }, 0..224).iter().enumerate()
        {
            assert_eq!((first, weights[0]), (index, 1 << FRACTION_BITS));
            assert!(weights[1..].iter().all(|weight| *weight == 0));
        }
    }
}
