//! Why an image is not decoded.

use common::job::outcome::{FailureReason, ItemFailure};

/// Maximum pixels an image header may declare.
pub const MAX_PIXELS: u64 = 50_000_000;
/// Maximum width and height in pixels.
const MAX_SIDE: u32 = 65_535;

/// Fails if a header declares no pixels, or too many.
pub(super) fn require_size(width: u64, height: u64) -> Result<(), ItemFailure> {
    if width == 0 || height == 0 {
        return Err(ItemFailure::new(FailureReason::Undecodable, format!("the image is {width}×{height}")));
    }
    if width * height > MAX_PIXELS || width.max(height) > u64::from(MAX_SIDE) {
        let detail =
            format!("the image is {width}×{height}, over the limit of {} megapixels", MAX_PIXELS / 1_000_000);
        return Err(ItemFailure::new(FailureReason::TooLarge, detail));
    }
    Ok(())
}

pub(super) fn undecodable(format: &str, error: &dyn std::fmt::Display) -> ItemFailure {
    ItemFailure::new(FailureReason::Undecodable, format!("the {format} cannot be decoded: {error}"))
}

/// Shows the first bytes of a file.
pub(super) fn first_bytes(bytes: &[u8]) -> String {
    bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
