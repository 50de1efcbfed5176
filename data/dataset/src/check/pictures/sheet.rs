//! The contact sheet: a grid of thumbnails with labels and video IDs.
//!
//! An image that cannot be decoded is shown as an empty cell with a note.

use images::{
    canvas::{Canvas, Font, TextAlign},
    picture::Picture,
};

use super::{
    colours::{ACCENT, BACKGROUND, GRID, SECONDARY_TEXT, TEXT},
    number_text::{grouped, short},
    thumbnail::{LabelledThumbnail, MAX_SIZE},
};
use crate::target::Target;

const COLUMNS: u32 = 5;
const MARGIN: u32 = 32;
const GAP: u32 = 20;
const TITLE_HEIGHT: u32 = 80;
/// Two lines below each thumbnail.
const CAPTION_HEIGHT: u32 = 46;

/// Draws `thumbnails` in the order given. `items` is the number of items they were sampled from.
#[must_use]
pub fn sheet(target: Target, thumbnails: &[LabelledThumbnail], items: u64) -> Picture {
    let count = thumbnails.len() as u32;
    let rows = count.div_ceil(COLUMNS).max(1);
    let heights =
        thumbnails.iter().filter_map(|thumbnail| thumbnail.picture.as_ref()).map(|picture| picture.height);
    let max_height = heights.max().unwrap_or(MAX_SIZE.1 * 3 / 4);
    let cell = (MAX_SIZE.0 + GAP, max_height + CAPTION_HEIGHT + GAP);
    let (width, height) = (2 * MARGIN + COLUMNS * cell.0 - GAP, TITLE_HEIGHT + rows * cell.1 + MARGIN - GAP);
    let mut canvas = Canvas::new(width, height, BACKGROUND);
    let title = format!("{} of {} thumbnails, chosen at random", grouped(count.into()), grouped(items));
    canvas.draw_text(&title, MARGIN, 22, TextAlign::Left, Font::Title, TEXT);
    let subtitle = format!("sorted by {}, highest first", target.name().replace('-', " "));
    canvas.draw_text(&subtitle, MARGIN, 48, TextAlign::Left, Font::Body, SECONDARY_TEXT);
    for (index, thumbnail) in (0_u32..).zip(thumbnails) {
        let (x, y) = (MARGIN + index % COLUMNS * cell.0, TITLE_HEIGHT + index / COLUMNS * cell.1);
        match &thumbnail.picture {
            Some(picture) => {
                // Centred, and aligned to the bottom of the cell above the caption.
                canvas.paste(picture, x + (MAX_SIZE.0 - picture.width) / 2, y + max_height - picture.height);
            }
            None => {
                canvas.fill_rect(x, y, MAX_SIZE.0, max_height, GRID);
                let center = (x + MAX_SIZE.0 / 2, y + max_height / 2 - 7);
                canvas.draw_text(
                    "cannot be decoded",
                    center.0,
                    center.1,
                    TextAlign::Center,
                    Font::Body,
                    SECONDARY_TEXT,
                );
            }
        }
        let caption_y = y + max_height + 8;
        match thumbnail.label {
            Some(label) => canvas.draw_text(&short(label), x, caption_y, TextAlign::Left, Font::Bold, ACCENT),
            None => canvas.draw_text("no label", x, caption_y, TextAlign::Left, Font::Body, SECONDARY_TEXT),
        }
        canvas.draw_text(
            &truncated(&thumbnail.video_id),
            x,
            caption_y + 18,
            TextAlign::Left,
            Font::Body,
            SECONDARY_TEXT,
        );
    }
    canvas.into_picture()
}

/// Truncates `text` to the width of a thumbnail.
fn truncated(text: &str) -> String {
    let max_characters = (MAX_SIZE.0 / Font::Body.width(1)) as usize;
    if text.chars().count() <= max_characters {
        return text.to_owned();
    }
    text.chars().take(max_characters - 2).chain("..".chars()).collect()
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;

    #[test]
    fn sheet_contains_its_thumbnails() {
        let colours = [[250, 0, 0], [0, 250, 0], [0, 0, 250], [250, 250, 0], [0, 250, 250], [250, 0, 250]];
        let thumbnail = |(index, colour): (usize, &[u8; 3])| LabelledThumbnail {
            video_id: format!("{}{index}", "long".repeat(20)),
            label: (index % 2 == 0).then_some(1e9),
            picture: Some(RgbImage::from_pixel(240, if index == 2 { 180 } else { 135 }, Rgb(*colour)).into()),
        };
        let mut thumbnails: Vec<LabelledThumbnail> = colours.iter().enumerate().map(thumbnail).collect();
        thumbnails.push(LabelledThumbnail { video_id: "bad".to_owned(), label: None, picture: None });
        let sheet = sheet(Target::Views, &thumbnails, 1_000_000);
        let sheet = RgbImage::from_raw(sheet.width, sheet.height, sheet.rgb).unwrap();
        assert_eq!(
            sheet.dimensions(),
            (2 * MARGIN + 5 * 260 - GAP, TITLE_HEIGHT + 2 * (180 + CAPTION_HEIGHT + GAP) + MARGIN - GAP)
        );
        for (index, colour) in colours.iter().enumerate() {
            let pixels = sheet.pixels().filter(|pixel| pixel.0 == *colour).count();
            assert_eq!(pixels, 240 * if index == 2 { 180 } else { 135 }, "{colour:?}");
        }
        let (width, height) = sheet.dimensions();
        let edge = |x: u32, y: u32| x < 16 || y < 16 || x >= width - 16 || y >= height - 16;
        assert!(sheet.enumerate_pixels().all(|(x, y, pixel)| !edge(x, y) || pixel.0 == BACKGROUND));
    }
}
