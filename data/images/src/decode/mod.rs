//! Decodes image files to RGB pixels, like Pillow's `Image.open(…).convert("RGB")`.
//!
//! The decoder is chosen by magic bytes. JPEG goes through libjpeg-turbo, statically linked so that every
//! machine decodes the same pixels, and the frames of WebP through the `image` crate. PNG, GIF and BMP are
//! decoded here, since what Pillow accepts, and what it makes of incomplete or unusual files, differs from
//! that crate. EXIF orientation is ignored, as in torchvision's loader. Invariants: the same bytes give the
//! same pixels, whatever was decoded before; an image over the size limit is rejected before its pixels are
//! decoded; time and memory are bounded by the pixels and the bytes of a file; broken metadata does not fail an
//! image; no input causes a panic.

mod bmp;
mod cost;
mod failure;
mod gif;
mod input;
mod jpeg;
pub(crate) mod jpeg_header;
mod png;
#[cfg(test)]
mod tests;
mod webp;

use common::job::outcome::{FailureReason, ItemFailure};
pub use cost::memory_bytes;
pub use failure::MAX_PIXELS;
use failure::first_bytes;
pub use jpeg::jpeg_size;

use crate::picture::Picture;

/// Extensions of image files, in lower case: those that Pillow knows for these formats.
pub const FILE_EXTENSIONS: [&str; 10] =
    ["jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "gif", "bmp", "dib"];

/// Decodes an image; of an animation, the first frame.
///
/// # Errors
/// `Empty`, `Undecodable` or `TooLarge`.
pub fn decode(bytes: &[u8]) -> Result<Picture, ItemFailure> {
    match bytes {
        [] => Err(ItemFailure::new(FailureReason::Empty, "the file has 0 bytes")),
        [0xff, 0xd8, 0xff, ..] => jpeg::decode(bytes),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => gif::decode(bytes),
        [b'B', b'M', ..] => bmp::decode(bytes),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => webp::decode(bytes),
        _ if bytes.starts_with(png::SIGNATURE) => png::decode(bytes),
        _ if bmp::is_dib(bytes) => bmp::decode(bytes),
        _ => {
            let start = first_bytes(bytes);
            let detail = format!("the file is not a JPEG, PNG, WebP, GIF or BMP; it starts with {start}");
            Err(ItemFailure::new(FailureReason::Undecodable, detail))
        }
    }
}
