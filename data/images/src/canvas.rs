//! A picture that is drawn on: rectangles, lines and words.
//!
//! Owns the letters, which come with the program, so that a drawing is the same on every machine: bitmaps of fixed sizes,
//! which hold Latin letters alone; others are drawn as `?`. Does not own what is drawn.

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

/// Sizes of letters.
#[derive(Clone, Copy)]
pub enum Letters {
    /// Ten pixels wide.
    Title,
    /// Nine pixels wide.
    Text,
    /// Nine pixels wide and heavy.
    Heavy,
}

impl Letters {
    fn font(self) -> &'static MonoFont<'static> {
        match self {
            Self::Title => &iso_8859_15::FONT_10X20,
            Self::Text => &iso_8859_15::FONT_9X15,
            Self::Heavy => &iso_8859_15::FONT_9X15_BOLD,
        }
    }

    /// Returns the width of so many letters.
    #[must_use]
    pub fn width(self, letters: usize) -> u32 {
        let font = self.font();
        letters as u32 * (font.character_size.width + font.character_spacing)
    }
}

/// Which part of a text lies where it is put.
#[derive(Clone, Copy)]
pub enum At {
    /// Its upper left corner.
    Left,
    /// The middle of its upper edge.
    Middle,
    /// Its upper right corner.
    Right,
}

/// A picture that is drawn on.
pub struct Canvas {
    image: RgbImage,
}

impl Canvas {
    /// Makes a canvas of one colour.
    #[must_use]
    pub fn new(width: u32, height: u32, paper: Colour) -> Self {
        Self { image: RgbImage::from_pixel(width, height, Rgb(paper)) }
    }

    /// Fills a rectangle whose upper left corner is at `x`, `y`.
    pub fn fill(&mut self, x: u32, y: u32, width: u32, height: u32, colour: Colour) {
        let area = Rectangle::new(point(x, y), Size::new(width, height));
        done(area.into_styled(PrimitiveStyle::with_fill(rgb(colour))).draw(self));
    }

    /// Writes a line of text.
    pub fn write(&mut self, text: &str, x: u32, y: u32, at: At, letters: Letters, colour: Colour) {
        let alignment = match at {
            At::Left => Alignment::Left,
            At::Middle => Alignment::Center,
            At::Right => Alignment::Right,
        };
        let style = TextStyleBuilder::new().alignment(alignment).baseline(Baseline::Top).build();
        let letters = MonoTextStyle::new(letters.font(), rgb(colour));
        done(Text::with_text_style(text, point(x, y), letters, style).draw(self).map(|_| ()));
    }

    /// Puts a picture on it, the upper left corner at `x`, `y`.
    pub fn paste(&mut self, picture: &Picture, x: u32, y: u32) {
        imageops::replace(&mut self.image, &picture.view(), i64::from(x), i64::from(y));
    }

    /// Returns what was drawn.
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
                && let Some(at) = self.image.get_pixel_mut_checked(x, y)
            {
                *at = Rgb([colour.r(), colour.g(), colour.b()]);
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

/// Drawing on memory does not fail.
fn done(drawn: Result<(), Infallible>) {
    let Ok(()) = drawn;
}
