//! Pictures to files.
//!
//! Invariant: the same picture gives the same bytes on every machine.

use image::ImageFormat;
use std::io::Cursor;
use turbojpeg::{Image, PixelFormat, Subsamp};

use crate::picture::Picture;

/// Why a picture cannot be a JPEG.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct EncodeError(#[from] turbojpeg::Error);

/// Returns the JPEG of a picture, its colours at half the resolution; `quality` is from 1 to 100.
///
/// # Errors
/// When the quality is out of range, or the picture has no pixels or more than 65,535 rows or columns.
pub fn jpeg(picture: &Picture, quality: i32) -> Result<Vec<u8>, EncodeError> {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let pixels = picture.rgb.as_slice();
    let image = Image { pixels, width, pitch: width * 3, height, format: PixelFormat::RGB };
    Ok(turbojpeg::compress(image, quality, Subsamp::Sub2x2)?.to_vec())
}

/// Returns the PNG of a picture.
///
/// # Panics
/// When the picture's size and bytes disagree.
#[must_use]
pub fn png(picture: &Picture) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.view().write_to(&mut bytes, ImageFormat::Png).expect("memory can be written to");
    bytes.into_inner()
}
