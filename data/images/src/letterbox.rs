//! Bars above and below a 16:9 picture in a 4:3 thumbnail, and cutting them off without loss.
//!
//! Owns deciding from the pixels whether they are there, and the cut. Cutting happens on the JPEG's own blocks
//! ([libjpeg's lossless crop](https://libjpeg-turbo.org)), so the pixels that stay are those that were sent,
//! the same on every machine, and nothing is compressed a second time. For that the upper edge has to lie on a
//! block, 8 or 16 rows high: it is moved down to the next one, which costs 4 of 360 rows of an `sddefault` and
//! 3 of 270 of an `hqdefault`, those that the compression of the bar's edge has smeared. Invariant: what stays
//! begins and ends within the 16:9 middle.

use common::job::outcome::{FailureReason, ItemFailure};
use serde::{Deserialize, Serialize};
use turbojpeg::{Transform, TransformCrop};

use crate::{decode::decode, picture::Picture};

/// Brightest that a row of a bar is on average, of 255.
const BRIGHTEST_ROW: usize = 12;
/// Brightest that a pixel of a bar is.
const BRIGHTEST_PIXEL: usize = 40;

/// A part of a picture in pixels, written as `[x, y, width, height]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(from = "[u32; 4]", into = "[u32; 4]")]
pub struct Area {
    /// Columns to its left.
    pub x: u32,
    /// Rows above it.
    pub y: u32,
    /// Its columns.
    pub width: u32,
    /// Its rows.
    pub height: u32,
}

impl From<[u32; 4]> for Area {
    fn from([x, y, width, height]: [u32; 4]) -> Self {
        Self { x, y, width, height }
    }
}

impl From<Area> for [u32; 4] {
    fn from(Area { x, y, width, height }: Area) -> Self {
        [x, y, width, height]
    }
}

/// A picture whose bars were cut off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// The JPEG of what stays.
    pub jpeg: Vec<u8>,
    /// Which part of the picture that is.
    pub area: Area,
}

/// Returns the 16:9 middle of a 4:3 picture, if dark bars lie above and below it.
///
/// A bar counts as dark when each of its rows has a mean brightness of at most 12 and no pixel over 40, of
/// 255. Its inner quarter is not looked at: compression smears the picture into it, and a picture a little
/// higher than 16:9 reaches into it. A night scene as dark as that above and below is taken for one with bars,
/// and loses nothing that could be seen.
#[must_use]
pub fn middle(picture: &Picture) -> Option<Area> {
    let Picture { width, height, .. } = *picture;
    let visible = width * 9 / 16;
    if width * 3 != height * 4 || visible == 0 {
        return None;
    }
    let bar = (height - visible) / 2;
    let looked_at = bar as usize * 3 / 4;
    if looked_at == 0 {
        return None;
    }
    let rows = picture.rgb.chunks_exact(width as usize * 3).enumerate();
    let mut rows_of_bars = rows.filter(|(y, _)| *y < looked_at || *y >= height as usize - looked_at);
    let bars_are_dark = rows_of_bars.all(|(_, row)| is_dark(row));
    bars_are_dark.then_some(Area { x: 0, y: bar, width, height: visible })
}

fn is_dark(row: &[u8]) -> bool {
    let luma = |pixel: &[u8; 3]| {
        (77 * usize::from(pixel[0]) + 150 * usize::from(pixel[1]) + 29 * usize::from(pixel[2])) >> 8
    };
    let pixels = row.as_chunks::<3>().0;
    let sum: usize = pixels.iter().map(luma).sum();
    sum <= BRIGHTEST_ROW * pixels.len() && pixels.iter().all(|pixel| luma(pixel) <= BRIGHTEST_PIXEL)
}

/// Cuts the bars off a JPEG; gives nothing where it has none.
///
/// # Errors
/// When it cannot be decoded, or is no JPEG.
pub fn cut_bars(jpeg: &[u8]) -> Result<Option<Cut>, ItemFailure> {
    let Some(middle) = middle(&decode(jpeg)?) else { return Ok(None) };
    let failed = |error: turbojpeg::Error| {
        ItemFailure::new(FailureReason::Undecodable, format!("its bars cannot be cut off: {error}"))
    };
    let header = turbojpeg::read_header(jpeg).map_err(failed)?;
    let bottom = middle.y + middle.height;
    // A block is at most 32 rows high.
    let y = middle.y.next_multiple_of(header.subsamp.mcu_height() as u32);
    let area = Area { y, height: bottom - y, ..middle };
    let mut transform = Transform::default();
    transform.copy_none = true;
    transform.crop = Some(TransformCrop {
        x: 0,
        y: y as usize,
        width: Some(area.width as usize),
        height: Some(area.height as usize),
    });
    let jpeg = turbojpeg::transform(&transform, jpeg).map_err(failed)?.to_vec();
    Ok(Some(Cut { jpeg, area }))
}

#[cfg(test)]
mod tests {
    use turbojpeg::{Image, PixelFormat, Subsamp};

    use super::*;
    use crate::real_data::real_data;

    /// A picture of coloured stripes with bars of `bar` rows above and below.
    fn striped(width: u32, height: u32, bar: u32, brightness: u8) -> Picture {
        let pixel = |x: u32, y: u32| {
            let is_bar = y < bar || y >= height - bar;
            if is_bar { [brightness; 3] } else { [(x * 7 % 251) as u8, (y * 5 % 241) as u8, 200] }
        };
        let rgb = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect();
        Picture { width, height, rgb }
    }

    fn jpeg(picture: &Picture, subsamp: Subsamp) -> Vec<u8> {
        let (width, height) = (picture.width as usize, picture.height as usize);
        let pixels = &picture.rgb[..];
        let image = Image { pixels, width, pitch: width * 3, height, format: PixelFormat::RGB };
        turbojpeg::compress(image, 80, subsamp).unwrap().to_vec()
    }

    #[test]
    fn bars_are_found_by_their_pixels() {
        let check = |picture: &Picture, expected: Option<[u32; 4]>| {
            assert_eq!(middle(picture).map(<[u32; 4]>::from), expected);
        };
        check(&striped(640, 480, 60, 0), Some([0, 60, 640, 360]));
        check(&striped(480, 360, 45, 0), Some([0, 45, 480, 270]));
        check(&striped(640, 480, 60, 12), Some([0, 60, 640, 360]));
        check(&striped(640, 480, 60, 13), None);
        check(&striped(640, 480, 45, 0), Some([0, 60, 640, 360]));
        check(&striped(640, 480, 44, 0), None);
        check(&striped(640, 480, 0, 0), None);
        check(&striped(1280, 720, 90, 0), None);
        check(&striped(0, 0, 0, 0), None);
        check(&striped(4, 3, 0, 0), None);
        let mut one_sided = striped(640, 480, 60, 0);
        one_sided.rgb[479 * 640 * 3..].fill(255);
        check(&one_sided, None);
        let mut dotted = striped(640, 480, 60, 0);
        dotted.rgb[3000..3003].fill(255);
        check(&dotted, None);
    }

    /// Cuts a JPEG and compares what stays with the same rows of the whole, leaving out `edge` rows at each
    /// end, where shared colour is spread from rows that are not there any more.
    fn check_cut(jpeg: &[u8], edge: usize) -> Option<Area> {
        let Cut { jpeg: cut, area } = cut_bars(jpeg).unwrap()?;
        let (whole, rest) = (decode(jpeg).unwrap(), decode(&cut).unwrap());
        assert_eq!((rest.width, rest.height), (area.width, area.height));
        let stride = area.width as usize * 3;
        let rows = |picture: &Picture, from: usize| {
            let rows = from + edge..from + area.height as usize - edge;
            picture.rgb[rows.start * stride..rows.end * stride].to_vec()
        };
        assert!(rows(&whole, area.y as usize) == rows(&rest, 0), "{area:?}");
        Some(area)
    }

    #[test]
    fn what_stays_has_the_pixels_that_were_sent() {
        let check = |picture: &Picture, subsamp, edge, expected: Option<[u32; 4]>| {
            assert_eq!(check_cut(&jpeg(picture, subsamp), edge).map(<[u32; 4]>::from), expected);
        };
        check(&striped(640, 480, 60, 0), Subsamp::None, 0, Some([0, 64, 640, 356]));
        check(&striped(640, 480, 60, 0), Subsamp::Sub2x2, 1, Some([0, 64, 640, 356]));
        check(&striped(480, 360, 45, 0), Subsamp::None, 0, Some([0, 48, 480, 267]));
        check(&striped(480, 360, 45, 0), Subsamp::Sub2x2, 1, Some([0, 48, 480, 267]));
        check(&striped(480, 360, 0, 0), Subsamp::Sub2x2, 0, None);
    }

    #[test]
    fn what_is_no_picture_fails() {
        assert_eq!(cut_bars(b"<html>").unwrap_err().reason, FailureReason::Undecodable);
        assert_eq!(serde_json::to_string(&Area::from([0, 64, 640, 356])).unwrap(), "[0,64,640,356]");
    }

    #[test]
    fn two_thirds_of_real_thumbnails_have_bars() {
        let Some(folder) = real_data("did not cut real thumbnails") else { return };
        let files = std::fs::read_dir(folder.join("fitness-3200/thumbnails")).unwrap();
        let (mut all, mut cut) = (0, 0);
        for file in files {
            let area = check_cut(&std::fs::read(file.unwrap().path()).unwrap(), 1);
            assert!(area.is_none_or(|area| area == Area::from([0, 16, 120, 62])), "{area:?}");
            all += 1;
            cut += usize::from(area.is_some());
        }
        println!("{cut} of {all} have bars");
        assert_eq!((all, cut), (3_200, 2_104));
    }
}
