//! Some thumbnails of a dataset on one sheet, each with its label and its video.
//!
//! Owns the arrangement. What cannot be decoded keeps its place, and says so.

use images::{
    canvas::{At, Canvas, Letters},
    picture::Picture,
};

use super::{
    colours::{ACCENT, FAINT_INK, INK, PAPER, RULE},
    number_text::{grouped, short},
    thumbnail::{LabelledThumbnail, MOST},
};
use crate::target::Target;

const COLUMNS: u32 = 5;
const MARGIN: u32 = 32;
const GAP: u32 = 20;
/// Room for the title above, and for two lines below each.
const TITLE: u32 = 80;
const CAPTION: u32 = 46;

/// Draws thumbnails in the order given; `items` is how many they were drawn from.
#[must_use]
pub fn sheet(target: Target, thumbnails: &[LabelledThumbnail], items: u64) -> Picture {
    let count = thumbnails.len() as u32;
    let rows = count.div_ceil(COLUMNS).max(1);
    // No higher than the highest of them needs.
    let heights =
        thumbnails.iter().filter_map(|thumbnail| thumbnail.picture.as_ref()).map(|picture| picture.height);
    let high = heights.max().unwrap_or(MOST.1 * 3 / 4);
    let cell = (MOST.0 + GAP, high + CAPTION + GAP);
    let (width, height) = (2 * MARGIN + COLUMNS * cell.0 - GAP, TITLE + rows * cell.1 + MARGIN - GAP);
    let mut canvas = Canvas::new(width, height, PAPER);
    let title = format!("{} of {} thumbnails, drawn at random", grouped(count.into()), grouped(items));
    canvas.write(&title, MARGIN, 22, At::Left, Letters::Title, INK);
    let explained = format!("{}, the highest first", target.name().replace('-', " "));
    canvas.write(&explained, MARGIN, 48, At::Left, Letters::Text, FAINT_INK);
    for (at, thumbnail) in (0_u32..).zip(thumbnails) {
        let (x, y) = (MARGIN + at % COLUMNS * cell.0, TITLE + at / COLUMNS * cell.1);
        match &thumbnail.picture {
            Some(picture) => {
                // In the middle, and on the line that the caption hangs from.
                canvas.paste(picture, x + (MOST.0 - picture.width) / 2, y + high - picture.height);
            }
            None => {
                canvas.fill(x, y, MOST.0, high, RULE);
                let middle = (x + MOST.0 / 2, y + high / 2 - 7);
                canvas.write("cannot be decoded", middle.0, middle.1, At::Middle, Letters::Text, FAINT_INK);
            }
        }
        let below = y + high + 8;
        match thumbnail.label {
            Some(label) => canvas.write(&short(label), x, below, At::Left, Letters::Heavy, ACCENT),
            None => canvas.write("no label", x, below, At::Left, Letters::Text, FAINT_INK),
        }
        canvas.write(&shortened(&thumbnail.video_id), x, below + 18, At::Left, Letters::Text, FAINT_INK);
    }
    canvas.into_picture()
}

/// A text that is no wider than a thumbnail.
fn shortened(text: &str) -> String {
    let most = (MOST.0 / Letters::Text.width(1)) as usize;
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 2).chain("..".chars()).collect()
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;

    #[test]
    fn a_sheet_contains_its_thumbnails() {
        let colours = [[250, 0, 0], [0, 250, 0], [0, 0, 250], [250, 250, 0], [0, 250, 250], [250, 0, 250]];
        let thumbnail = |(at, colour): (usize, &[u8; 3])| LabelledThumbnail {
            video_id: format!("{}{at}", "long".repeat(20)),
            label: (at % 2 == 0).then_some(1e9),
            picture: Some(RgbImage::from_pixel(240, if at == 2 { 180 } else { 135 }, Rgb(*colour)).into()),
        };
        let mut thumbnails: Vec<LabelledThumbnail> = colours.iter().enumerate().map(thumbnail).collect();
        thumbnails.push(LabelledThumbnail { video_id: "bad".to_owned(), label: None, picture: None });
        let sheet = sheet(Target::Views, &thumbnails, 1_000_000);
        let sheet = RgbImage::from_raw(sheet.width, sheet.height, sheet.rgb).unwrap();
        assert_eq!(
            sheet.dimensions(),
            (2 * MARGIN + 5 * 260 - GAP, TITLE + 2 * (180 + CAPTION + GAP) + MARGIN - GAP)
        );
        for (at, colour) in colours.iter().enumerate() {
            let pixels = sheet.pixels().filter(|pixel| pixel.0 == *colour).count();
            assert_eq!(pixels, 240 * if at == 2 { 180 } else { 135 }, "{colour:?}");
        }
        let (width, height) = sheet.dimensions();
        let edge = |x: u32, y: u32| x < 16 || y < 16 || x >= width - 16 || y >= height - 16;
        assert!(sheet.enumerate_pixels().all(|(x, y, at)| !edge(x, y) || at.0 == PAPER));
    }
}
