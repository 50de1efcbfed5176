//! A canvas for charts and contact sheets: filled rectangles, text and pasted pictures.
//!
//! The bitmap fonts are compiled in, so a drawing is the same on every machine. They cover ISO 8859-15; other
//! characters are drawn as `?`.

use std::convert::Infallible;

use embedded_graphics::{
    Drawable, Pixel,
    draw_target::DrawTarget,
    geometry::{OriginDimensions, Point, Size},
    mono_font::{MonoFont, MonoTextStyle, iso_8859_15},
    pixelcolor::{Rgb888, RgbColor},
    primitives::{Primitive, PrimitiveStyle, Rectangle},
    text::{Alignment, Baseline, Text, TextStyleBuilder},
};
use image::{Rgb, RgbImage, imageops};

use crate::picture::Picture;

/// R, G and B.
pub type Colour = [u8; 3];

/// A monospaced bitmap font.
#[derive(Clone, Copy)]
pub enum Font {
    /// 10×20 pixels a character.
    Title,
    /// 9×15 pixels a character.
    Body,
    /// 9×15 pixels a character, bold.
    Bold,
}

impl Font {
    fn bitmap(self) -> &'static MonoFont<'static> {
        match self {
            Self::Title => &iso_8859_15::FONT_10X20,
            Self::Body => &iso_8859_15::FONT_9X15,
            Self::Bold => &iso_8859_15::FONT_9X15_BOLD,
        }
    }

    /// Returns the width of a line of `characters`, in pixels.
    #[must_use]
    pub fn width(self, characters: usize) -> u32 {
        let font = self.bitmap();
        characters as u32 * (font.character_size.width + font.character_spacing)
    }
}

/// How a line of text is aligned to its x coordinate.
#[derive(Clone, Copy)]
pub enum TextAlign {
    /// The text starts at x.
    Left,
    /// The text is centred on x.
    Center,
    /// The text ends at x.
    Right,
}

/// An RGB image to draw on. Coordinates are pixels from the upper left corner; drawing outside is clipped.
pub struct Canvas {
    image: RgbImage,
}

impl Canvas {
    #[must_use]
    pub fn new(width: u32, height: u32, background: Colour) -> Self {
        Self { image: RgbImage::from_pixel(width, height, Rgb(background)) }
    }

    /// Fills the rectangle whose upper left corner is at `x`, `y`.
    pub fn fill_rect(&mut self, x: u32, y: u32, width: u32, height: u32, colour: Colour) {
        let area = Rectangle::new(point(x, y), Size::new(width, height));
        infallible(area.into_styled(PrimitiveStyle::with_fill(rgb(colour))).draw(self));
    }

    /// Draws a line of text whose top is at `y`.
    pub fn draw_text(&mut self, text: &str, x: u32, y: u32, align: TextAlign, font: Font, colour: Colour) {
        let alignment = match align {
            TextAlign::Left => Alignment::Left,
            TextAlign::Center => Alignment::Center,
            TextAlign::Right => Alignment::Right,
        };
        let layout = TextStyleBuilder::new().alignment(alignment).baseline(Baseline::Top).build();
        let style = MonoTextStyle::new(font.bitmap(), rgb(colour));
        infallible(Text::with_text_style(text, point(x, y), style, layout).draw(self).map(|_| ()));
    }

    /// Copies `picture` onto the canvas with its upper left corner at `x`, `y`.
    pub fn paste(&mut self, picture: &Picture, x: u32, y: u32) {
        imageops::replace(&mut self.image, &picture.view(), i64::from(x), i64::from(y));
    }

    #[must_use]
    pub fn into_picture(self) -> Picture {
        self.image.into()
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.image.width(), self.image.height())
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(point, colour) in pixels {
            if let (Ok(x), Ok(y)) = (point.x.try_into(), point.y.try_into())
                && let Some(pixel) = self.image.get_pixel_mut_checked(x, y)
            {
                *pixel = Rgb([colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}

fn rgb([red, green, blue]: Colour) -> Rgb888 {
    Rgb888::new(red, green, blue)
}

fn point(x: u32, y: u32) -> Point {
    Point::new(x as i32, y as i32)
}

/// Unwraps the result of a draw call: drawing to memory cannot fail.
fn infallible(result: Result<(), Infallible>) {
    let Ok(()) = result;
}
