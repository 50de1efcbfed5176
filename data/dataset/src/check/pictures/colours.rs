//! The colour palette.

use images::canvas::Colour;

pub(super) const BACKGROUND: Colour = [0xfc, 0xfc, 0xfb];
pub(super) const TEXT: Colour = [0x1f, 0x24, 0x2c];
pub(super) const SECONDARY_TEXT: Colour = [0x5a, 0x61, 0x6e];
/// Grid lines and empty cells.
pub(super) const GRID: Colour = [0xe3, 0xe5, 0xe8];
/// Bars and labels.
pub(super) const ACCENT: Colour = [0x2f, 0x6f, 0xb5];
