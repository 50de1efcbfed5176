//! The colours of the pictures.

use images::canvas::Colour;

/// What is drawn on.
pub(super) const PAPER: Colour = [0xfc, 0xfc, 0xfb];
/// Words that matter.
pub(super) const INK: Colour = [0x1f, 0x24, 0x2c];
/// Words that explain.
pub(super) const FAINT_INK: Colour = [0x5a, 0x61, 0x6e];
/// Lines that guide the eye.
pub(super) const RULE: Colour = [0xe3, 0xe5, 0xe8];
/// The one colour.
pub(super) const ACCENT: Colour = [0x2f, 0x6f, 0xb5];
