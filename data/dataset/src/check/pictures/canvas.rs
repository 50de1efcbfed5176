//! A picture that is drawn on: rectangles, lines and words.
//!
//! Owns the colours, and the only use of the drawing library. Its letters are bitmaps of fixed sizes, which hold
//! Latin letters alone; others are drawn as `?`.

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

/// What is drawn on.
pub(super) const PAPER: Rgb888 = Rgb888::new(0xfc, 0xfc, 0xfb);
/// Words that matter.
pub(super) const INK: Rgb888 = Rgb888::new(0x1f, 0x24, 0x2c);
/// Words that explain.
pub(super) const FAINT_INK: Rgb888 = Rgb888::new(0x5a, 0x61, 0x6e);
/// Lines that guide the eye.
pub(super) const RULE: Rgb888 = Rgb888::new(0xe3, 0xe5, 0xe8);
/// The one colour.
pub(super) const ACCENT: Rgb888 = Rgb888::new(0x2f, 0x6f, 0xb5);

/// Sizes of letters.
#[derive(Clone, Copy)]
pub(super) enum Letters {
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

    /// Width of so many letters.
    pub(super) fn width(self, letters: usize) -> u32 {
        let font = self.font();
        letters as u32 * (font.character_size.width + font.character_spacing)
    }
}

/// Which part of a text lies where it is put.
#[derive(Clone, Copy)]
pub(super) enum At {
    /// Its upper left corner.
    Left,
    /// The middle of its upper edge.
    Middle,
    /// Its upper right corner.
    Right,
}

/// A picture that is drawn on.
pub(super) struct Canvas {
    picture: RgbImage,
}

impl Canvas {
    pub(super) fn new(width: u32, height: u32) -> Self {
        Self { picture: RgbImage::from_pixel(width, height, pixel(PAPER)) }
    }

    pub(super) fn fill(&mut self, x: u32, y: u32, width: u32, height: u32, colour: Rgb888) {
        let area = Rectangle::new(point(x, y), Size::new(width, height));
        done(area.into_styled(PrimitiveStyle::with_fill(colour)).draw(self));
    }

    pub(super) fn write(&mut self, text: &str, x: u32, y: u32, at: At, letters: Letters, colour: Rgb888) {
        let alignment = match at {
            At::Left => Alignment::Left,
            At::Middle => Alignment::Center,
            At::Right => Alignment::Right,
        };
        let style = TextStyleBuilder::new().alignment(alignment).baseline(Baseline::Top).build();
        let letters = MonoTextStyle::new(letters.font(), colour);
        done(Text::with_text_style(text, point(x, y), letters, style).draw(self).map(|_| ()));
    }

    pub(super) fn paste(&mut self, picture: &RgbImage, x: u32, y: u32) {
        imageops::replace(&mut self.picture, picture, i64::from(x), i64::from(y));
    }

    pub(super) fn into_picture(self) -> RgbImage {
        self.picture
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.picture.width(), self.picture.height())
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(point, colour) in pixels {
            if let (Ok(x), Ok(y)) = (point.x.try_into(), point.y.try_into())
                && let Some(at) = self.picture.get_pixel_mut_checked(x, y)
            {
                *at = pixel(colour);
            }
        }
        Ok(())
    }
}

/// A colour as pictures have it.
pub(super) fn pixel(colour: Rgb888) -> Rgb<u8> {
    Rgb([colour.r(), colour.g(), colour.b()])
}

fn point(x: u32, y: u32) -> Point {
    Point::new(x as i32, y as i32)
}

/// Drawing on memory does not fail.
fn done(drawn: Result<(), Infallible>) {
    let Ok(()) = drawn;
}
