//! A decoded picture.

use image::{ImageBuffer, Rgb, RgbImage, imageops};

/// A decoded image: 8-bit RGB, row by row, without padding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Picture {
    pub width: u32,
    pub height: u32,
    /// `3 · width · height` bytes.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// Returns a copy of another size, resampled with a Catmull-Rom filter.
    ///
    /// # Panics
    /// When `rgb` does not have `3 · width · height` bytes.
    #[must_use]
    pub fn scaled(&self, width: u32, height: u32) -> Self {
        imageops::resize(&self.view(), width, height, imageops::FilterType::CatmullRom).into()
    }

    /// Borrows the pixels as a buffer of the `image` crate.
    pub(crate) fn view(&self) -> ImageBuffer<Rgb<u8>, &[u8]> {
        let view = ImageBuffer::from_raw(self.width, self.height, &self.rgb[..]);
        view.expect("a picture has three bytes a pixel")
    }
}

impl From<RgbImage> for Picture {
    fn from(image: RgbImage) -> Self {
        Self { width: image.width(), height: image.height(), rgb: image.into_raw() }
    }
}
