//! A decoded picture, the form in which all modules hand one to another.

use image::{ImageBuffer, Rgb, RgbImage, imageops};

/// A picture: 8-bit RGB, row by row, without padding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `3 · width · height` bytes.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// Returns the picture in another size, by a Catmull-Rom filter.
    ///
    /// # Panics
    /// When the picture's size and bytes disagree.
    #[must_use]
    pub fn scaled(&self, width: u32, height: u32) -> Self {
        imageops::resize(&self.view(), width, height, imageops::FilterType::CatmullRom).into()
    }

    /// The picture as the `image` crate reads it, without a copy.
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
