//! The horizontal pass, a group of rows at a time.

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use super::avx2::{Avx2, PairedWindows};
use super::{
    instructions::Instructions,
    rows::{GROUP, Rows, SLACK},
    scalar,
    weights::{Axis, Windows},
};

/// Widths of pictures whose rows are read in vectors: a row and the slack must end before the row after the next, and a
/// copy of a row must be small.
#[cfg(target_arch = "x86_64")]
const VECTOR_WIDTHS: Range<usize> = SLACK.div_ceil(3)..1 << 20;

/// The rows of a picture, each followed by [`SLACK`] bytes.
pub(super) struct Source<'a> {
    rows: Rows<'a>,
    /// A copy of the last row, unless the slack is there.
    last: Vec<u8>,
}

impl<'a> Source<'a> {
    /// Copies the last row of a picture if `horizontal` reads vectors.
    pub(super) fn of_picture(rows: Rows<'a>, height: usize, horizontal: &Horizontal) -> Self {
        let last = match horizontal {
            Horizontal::Scalar(_) => Vec::new(),
            #[cfg(target_arch = "x86_64")]
            Horizontal::Avx2(..) => [rows.row(height - 1), &[0; SLACK]].concat(),
        };
        Self { rows, last }
    }

    /// Takes rows of `length` bytes, after which there is the slack.
    pub(super) fn with_slack(bytes: &'a [u8], length: usize) -> Self {
        Self { rows: Rows::new(bytes, length), last: Vec::new() }
    }

    fn row_with_slack(&self, index: usize) -> &[u8] {
        self.rows.row_and(index, SLACK).unwrap_or(&self.last)
    }
}

/// The horizontal pass of a range of output pixels.
pub(super) enum Horizontal {
    Scalar(Windows),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2, PairedWindows),
}

impl Horizontal {
    pub(super) fn new(instructions: Instructions, axis: Axis, outputs: Range<usize>) -> Self {
        let windows = Windows::new(axis, outputs);
        match instructions {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2(avx2) if VECTOR_WIDTHS.contains(&axis.input) => {
                match PairedWindows::new(&windows, axis.input) {
                    Some(windows) => Self::Avx2(avx2, windows),
                    None => Self::Scalar(windows),
                }
            }
            _ => Self::Scalar(windows),
        }
    }

    /// Resamples a group of rows, the last of a picture possibly with fewer than [`GROUP`]. `target` has room for a
    /// whole one.
    pub(super) fn resample(&self, source: &Source<'_>, group: Range<usize>, target: &mut [u8]) {
        let length = target.len() / GROUP;
        match self {
            Self::Scalar(windows) => {
                for (index, target) in group.zip(target.chunks_exact_mut(length)) {
                    scalar::horizontal(windows, source.rows.row(index), target);
                }
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(avx2, windows) => {
                let row = |place: usize| source.row_with_slack((group.start + place).min(group.end - 1));
                let mut targets = target.chunks_exact_mut(length);
                let target = |_| targets.next().expect("there is room for a whole group");
                avx2.horizontal(windows, std::array::from_fn(row), std::array::from_fn(target));
            }
        }
    }
}
