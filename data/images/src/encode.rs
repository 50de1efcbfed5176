//! Encodes pictures as JPEG and PNG.
//!
//! Invariant: the same picture gives the same bytes on every machine.

use image::ImageFormat;
use std::io::Cursor;
use turbojpeg::{Image, PixelFormat, Subsamp};

use crate::picture::Picture;

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct EncodeError(#[from] turbojpeg::Error);

/// Encodes a JPEG with 4:2:0 chroma subsampling; `quality` is in 1…100.
///
/// # Errors
/// When the quality is out of range, or width or height is not in 1…65,535.
pub fn jpeg(picture: &Picture, quality: i32) -> Result<Vec<u8>, EncodeError> {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let pixels = picture.rgb.as_slice();
    let image = Image { pixels, width, pitch: width * 3, height, format: PixelFormat::RGB };
    Ok(turbojpeg::compress(image, quality, Subsamp::Sub2x2)?.to_vec())
}

/// Encodes a PNG.
///
/// # Panics
/// When `rgb` does not have `3 · width · height` bytes.
#[must_use]
pub fn png(picture: &Picture) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.view().write_to(&mut bytes, ImageFormat::Png).expect("writing to memory cannot fail");
    bytes.into_inner()
}
