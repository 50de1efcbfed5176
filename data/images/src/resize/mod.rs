//! Resizes pictures to a square exactly as Pillow 13 does with its bilinear filter.
//!
//! `Image.resize((224, 224), Image.BILINEAR)`, which torchvision's `Resize` calls, computes weighted sums along the rows
//! (the horizontal pass), rounds them to bytes, and computes weighted sums of the resulting rows (the vertical pass). A
//! tall picture has the vertical pass first. `weights` has the weights, `scalar` the arithmetic, and `avx2` the same
//! arithmetic in vectors; here, rows flow from one pass to the next as soon as they are needed. Invariants: the bytes
//! are Pillow's on every machine; besides the picture, a resize takes a few rows and at most [`MAX_WEIGHTS`] weights,
//! or those of one output pixel.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod horizontal;
mod instructions;
mod rows;
mod scalar;
#[cfg(test)]
mod tests;
mod weights;

use std::ops::Range;

use self::{
    horizontal::{Horizontal, Source},
    instructions::Instructions,
    rows::{GROUP, Ring, Rows, SLACK},
    weights::Axis,
};
use crate::picture::Picture;

/// Weights of the horizontal pass that are kept at a time.
const MAX_WEIGHTS: usize = 1 << 17;

/// Resizes a picture to a square of `side` pixels, a multiple of 4.
///
/// # Panics
/// When `picture` is empty, its bytes are not `3 · width · height`, or those of `target` are not `3 · side²`.
pub(crate) fn resize(picture: &Picture, side: usize, target: &mut [u8]) {
    resize_with(Instructions::fastest(), picture, side, target);
}

fn resize_with(instructions: Instructions, picture: &Picture, side: usize, target: &mut [u8]) {
    assert!(side.is_multiple_of(GROUP) && target.len() == side * side * 3, "a square of rows in groups");
    let (width, height) = (picture.width as usize, picture.height as usize);
    assert!(!picture.rgb.is_empty() && picture.rgb.len() == width * height * 3, "three bytes a pixel");
    if width == side && height == side {
        target.copy_from_slice(&picture.rgb);
        return;
    }
    let rows = Rows::new(&picture.rgb, width * 3);
    let pass = Passes {
        instructions,
        rows,
        columns: Axis { input: width, output: side },
        lines: Axis { input: height, output: side },
    };
    if width == side {
        pass.vertical_only(target);
    } else if height > side && (height - side) as i64 > 2 * (width as i64 - side as i64) {
        pass.vertical_first(target);
    } else {
        let outputs_at_a_time = (MAX_WEIGHTS / pass.columns.max_window()).clamp(1, side);
        for start in (0..side).step_by(outputs_at_a_time) {
            pass.horizontal_first(start..side.min(start + outputs_at_a_time), target);
        }
    }
}

/// A picture and its two passes.
struct Passes<'a> {
    instructions: Instructions,
    rows: Rows<'a>,
    columns: Axis,
    lines: Axis,
}

impl Passes<'_> {
    /// Bytes of a row of the target.
    fn target_length(&self) -> usize {
        self.columns.output * 3
    }

    fn vertical_only(&self, target: &mut [u8]) {
        let mut weights = Vec::new();
        for (line, target) in target.chunks_exact_mut(self.target_length()).enumerate() {
            weights.clear();
            let first = self.lines.append_weights(line, &mut weights);
            self.instructions.vertical(self.rows, first, &weights, target);
        }
    }

    /// Fills a range of the target's columns. Each row of the picture is resampled when an output row needs it.
    fn horizontal_first(&self, outputs: Range<usize>, target: &mut [u8]) {
        let horizontal = Horizontal::new(self.instructions, self.columns, outputs.clone());
        let source = Source::of_picture(self.rows, self.lines.input, &horizontal);
        let mut ring = Ring::new(self.lines.max_window() + GROUP, outputs.len() * 3);
        let (mut resampled, mut weights) = (0, Vec::new());
        for (line, target) in target.chunks_exact_mut(self.target_length()).enumerate() {
            weights.clear();
            let first = self.lines.append_weights(line, &mut weights);
            while resampled < first + weights.len() {
                let group = resampled..self.lines.input.min(resampled + GROUP);
                horizontal.resample(&source, group, ring.places(resampled, GROUP));
                resampled += GROUP;
            }
            let target = &mut target[outputs.start * 3..outputs.end * 3];
            self.instructions.vertical(ring.rows(), first, &weights, target);
        }
    }

    fn vertical_first(&self, target: &mut [u8]) {
        let horizontal = Horizontal::new(self.instructions, self.columns, 0..self.columns.output);
        let length = self.rows.length;
        let mut group = vec![0; GROUP * length + SLACK];
        let mut weights = Vec::new();
        for (number, target) in target.chunks_exact_mut(GROUP * self.target_length()).enumerate() {
            for (index, row) in group[..GROUP * length].chunks_exact_mut(length).enumerate() {
                weights.clear();
                let first = self.lines.append_weights(number * GROUP + index, &mut weights);
                self.instructions.vertical(self.rows, first, &weights, row);
            }
            horizontal.resample(&Source::with_slack(&group, length), 0..GROUP, target);
        }
    }
}
