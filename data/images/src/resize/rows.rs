//! Rows of bytes: those of a whole picture, or the last few that a pass has written.

/// Rows that the horizontal pass takes at a time.
pub(super) const GROUP: usize = 4;
/// Bytes that must follow a row: pixels are read in blocks of four, 16 bytes each.
pub(super) const SLACK: usize = 16;

/// Rows of equal length, side by side in memory.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    bytes: &'a [u8],
    /// Bytes of a row.
    pub(super) length: usize,
    /// Selects the bits of a row's number that are its place.
    mask: usize,
}

impl<'a> Rows<'a> {
    pub(super) fn new(bytes: &'a [u8], length: usize) -> Self {
        Self { bytes, length, mask: usize::MAX }
    }

    pub(super) fn row(self, index: usize) -> &'a [u8] {
        &self.bytes[(index & self.mask) * self.length..][..self.length]
    }

    /// Returns the row and `more` bytes after it, or `None` if it is too near the end.
    pub(super) fn row_and(self, index: usize, more: usize) -> Option<&'a [u8]> {
        self.bytes.get((index & self.mask) * self.length..)?.get(..self.length + more)
    }
}

/// Rows that replace the oldest ones.
pub(super) struct Ring {
    bytes: Vec<u8>,
    length: usize,
    mask: usize,
}

impl Ring {
    /// Creates a ring of at least `rows` rows of `length` bytes.
    pub(super) fn new(rows: usize, length: usize) -> Self {
        let rows = rows.next_power_of_two();
        Self { bytes: vec![0; rows * length], length, mask: rows - 1 }
    }

    /// The places of the `count` rows from `start` on; `start` is a multiple of `count`, and `count` a power of two.
    pub(super) fn places(&mut self, start: usize, count: usize) -> &mut [u8] {
        &mut self.bytes[(start & self.mask) * self.length..][..count * self.length]
    }

    pub(super) fn rows(&self) -> Rows<'_> {
        Rows { bytes: &self.bytes, length: self.length, mask: self.mask }
    }
}
