//! The instructions of the processor that the passes use.

#[cfg(target_arch = "x86_64")]
use super::avx2::Avx2;
use super::{rows::Rows, scalar};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Instructions {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
}

impl Instructions {
    pub(super) fn fastest() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = Avx2::detect() {
            return Self::Avx2(avx2);
        }
        Self::Scalar
    }

    /// Computes a row: the weighted sums of the rows from `first` on.
    pub(super) fn vertical(self, rows: Rows<'_>, first: usize, weights: &[u32], target: &mut [u8]) {
        match self {
            Self::Scalar => scalar::vertical(rows, first, weights, 0, target),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(avx2) => avx2.vertical(rows, first, weights, target),
        }
    }
}
