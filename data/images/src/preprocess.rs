//! Preprocessing: from image bytes to the model's input.
//!
//! Decodes and resizes to 224×224 as Pillow does, with its antialiased bilinear filter. The worker normalises with
//! [`MEAN`] and [`STD`]. A change that changes any pixel needs a new [`VERSION`].

use common::job::outcome::{FailureReason, ItemFailure};

use crate::{decode::decode, picture::Picture, resize};

/// Version of the preprocessing; part of an embedding space's name.
pub const VERSION: u32 = 3;
/// Width and height of the model's input.
pub const SIDE: usize = 224;
/// Bytes of the model's input.
pub const BYTES: usize = SIDE * SIDE * 3;
/// ImageNet's mean of R, G and B, in 0…1.
pub const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// ImageNet's standard deviation of R, G and B.
pub const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// The model's input before normalisation: 224×224 RGB, 8 bits, row by row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pixels(pub Vec<u8>);

/// Decodes and resizes an image.
///
/// # Errors
/// See [`decode`].
pub fn pixels(bytes: &[u8]) -> Result<Pixels, ItemFailure> {
    resize(&decode(bytes)?)
}

/// Resizes a picture to the model's input.
///
/// # Errors
/// When the picture is empty or `rgb` does not have `3 · width · height` bytes.
pub fn resize(picture: &Picture) -> Result<Pixels, ItemFailure> {
    let mut pixels = vec![0; BYTES];
    resize_into(picture, &mut pixels)?;
    Ok(Pixels(pixels))
}

/// Resizes a picture to the model's input in `target`, which has [`BYTES`] bytes.
///
/// # Errors
/// When the picture is empty or the sizes disagree.
pub fn resize_into(picture: &Picture, target: &mut [u8]) -> Result<(), ItemFailure> {
    let Picture { width, height, rgb } = picture;
    let failed = |detail| ItemFailure::new(FailureReason::Undecodable, detail);
    if rgb.is_empty() || rgb.len() as u64 != 3 * u64::from(*width) * u64::from(*height) {
        let bytes = rgb.len();
        return Err(failed(format!(
            "a picture of {width}×{height} pixels and {bytes} bytes cannot be resized"
        )));
    }
    if target.len() != BYTES {
        let bytes = target.len();
        return Err(failed(format!("{bytes} bytes are not a picture of {SIDE}×{SIDE} pixels")));
    }
    resize::resize(picture, SIDE, target);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_picture_stays_uniform() {
        for (width, height) in [(1, 1), (120, 90), (224, 224), (1280, 720)] {
            let picture = Picture { width, height, rgb: [10, 200, 77].repeat((width * height) as usize) };
            assert_eq!(resize(&picture).unwrap().0, [10, 200, 77].repeat(SIDE * SIDE), "{width}×{height}");
        }
    }

    #[test]
    fn channels_stay_in_order() {
        let picture = Picture { width: 2, height: 1, rgb: vec![255, 0, 0, 0, 0, 255] };
        let pixels = resize(&picture).unwrap().0;
        assert_eq!(pixels[..3], [255, 0, 0]);
        assert_eq!(pixels[pixels.len() - 3..], [0, 0, 255]);
    }
}
