//! Resizes pictures to the model's input exactly as Pillow 13 does with its bilinear filter.
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
mod rows;
mod scalar;
#[cfg(test)]
mod tests;
mod weights;

use std::ops::Range;

use self::{
    horizontal::{Horizontal, Source},
    rows::{Ring, Rows},
    weights::Axis,
};
use crate::{
    picture::Picture,
    preprocess::{BYTES, SIDE},
};

/// Rows that the horizontal pass takes at a time.
const GROUP: usize = 4;
/// Bytes of an output row.
const ROW_BYTES: usize = SIDE * 3;
/// Weights of the horizontal pass that are kept at a time.
const MAX_WEIGHTS: usize = 1 << 17;

/// The instructions of the processor that the passes use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Instructions {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
}

impl Instructions {
    fn fastest() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = avx2::Avx2::detect() {
            return Self::Avx2(avx2);
        }
        Self::Scalar
    }
}

/// Resizes a picture to [`SIDE`] × [`SIDE`] pixels.
///
/// # Panics
/// When `picture` is empty or its bytes are not `3 · width · height`.
pub(crate) fn resize(picture: &Picture, target: &mut [u8; BYTES]) {
    resize_with(Instructions::fastest(), picture, target);
}

fn resize_with(instructions: Instructions, picture: &Picture, target: &mut [u8; BYTES]) {
    let (width, height) = (picture.width as usize, picture.height as usize);
    assert!(!picture.rgb.is_empty() && picture.rgb.len() == width * height * 3, "three bytes a pixel");
    if width == SIDE && height == SIDE {
        target.copy_from_slice(&picture.rgb);
        return;
    }
    let rows = Rows::new(&picture.rgb, width * 3);
    let pass = Passes {
        instructions,
        rows,
        columns: Axis { input: width, output: SIDE },
        lines: Axis { input: height, output: SIDE },
    };
    if width == SIDE {
        pass.vertical_only(target);
    } else if height > SIDE && (height - SIDE) as i64 > 2 * (width as i64 - SIDE as i64) {
        pass.vertical_first(target);
    } else {
        let outputs_at_a_time = (MAX_WEIGHTS / pass.columns.max_window()).clamp(1, SIDE);
        for start in (0..SIDE).step_by(outputs_at_a_time) {
            pass.horizontal_first(start..SIDE.min(start + outputs_at_a_time), target);
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
    fn vertical_only(&self, target: &mut [u8; BYTES]) {
        let mut weights = Vec::new();
        for (line, target) in target.chunks_exact_mut(ROW_BYTES).enumerate() {
            weights.clear();
            let first = self.lines.append_weights(line, &mut weights);
            vertical(self.instructions, self.rows, first, &weights, target);
        }
    }

    /// Fills a range of the target's columns. Each row of the picture is resampled when an output row needs it.
    fn horizontal_first(&self, outputs: Range<usize>, target: &mut [u8; BYTES]) {
        let horizontal = Horizontal::new(self.instructions, self.columns, outputs.clone());
        let source = Source::of_picture(self.rows, self.lines.input, &horizontal);
        let mut ring = Ring::new(self.lines.max_window() + GROUP, outputs.len() * 3);
        let (mut resampled, mut weights) = (0, Vec::new());
        for (line, target) in target.chunks_exact_mut(ROW_BYTES).enumerate() {
            weights.clear();
            let first = self.lines.append_weights(line, &mut weights);
            while resampled < first + weights.len() {
                let group = resampled..self.lines.input.min(resampled + GROUP);
                horizontal.resample(&source, group, ring.places(resampled, GROUP));
                resampled += GROUP;
            }
            let target = &mut target[outputs.start * 3..outputs.end * 3];
            vertical(self.instructions, ring.rows(), first, &weights, target);
        }
    }

    fn vertical_first(&self, target: &mut [u8; BYTES]) {
        let horizontal = Horizontal::new(self.instructions, self.columns, 0..SIDE);
        let length = self.rows.length;
        let mut group = vec![0; GROUP * length + horizontal::SLACK];
        let mut weights = Vec::new();
        for (number, target) in target.chunks_exact_mut(GROUP * ROW_BYTES).enumerate() {
            for (index, row) in group[..GROUP * length].chunks_exact_mut(length).enumerate() {
                weights.clear();
                let first = self.lines.append_weights(number * GROUP + index, &mut weights);
                vertical(self.instructions, self.rows, first, &weights, row);
            }
            horizontal.resample(&Source::with_slack(&group, length), 0..GROUP, target);
        }
    }
}

/// Computes a row: the weighted sums of the rows from `first` on.
fn vertical(instructions: Instructions, rows: Rows<'_>, first: usize, weights: &[u32], target: &mut [u8]) {
    match instructions {
        Instructions::Scalar => scalar::vertical(rows, first, weights, 0, target),
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2(avx2) => avx2.vertical(rows, first, weights, target),
    }
}
