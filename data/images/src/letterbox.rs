//! Letterbox bars: dark bars above and below a 16:9 picture in a 4:3 thumbnail.
//!
//! Detects bars from the pixels and crops them losslessly. The crop copies whole JPEG blocks ([libjpeg's
//! lossless crop](https://libjpeg-turbo.org)), so the remaining pixels are unchanged, the same on every
//! machine, and not compressed again. The upper edge must therefore be on a block boundary (every 8 or 16 rows)
//! and moves down to the next one, which loses 4 of 360 rows of an `sddefault` and 3 of 270 of an `hqdefault`.
//! Compression of the bar's edge has smeared these rows anyway. Invariant: the crop is within the 16:9 area.

use common::job::outcome::{FailureReason, ItemFailure};
use serde::{Deserialize, Serialize};
use turbojpeg::{Transform, TransformCrop};

use crate::{
    decode::{decode, jpeg_header},
    picture::Picture,
};

/// Maximum mean luma of a row in a bar, of 255.
const MAX_ROW_LUMA: usize = 12;
/// Maximum luma of a pixel in a bar, of 255.
const MAX_PIXEL_LUMA: usize = 40;

/// A rectangle in pixels, serialized as `[x, y, width, height]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(from = "[u32; 4]", into = "[u32; 4]")]
pub struct Area {
    pub x: u32,
    pub y: u32,
    pub width: u32,
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

/// A JPEG whose bars were cropped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CroppedJpeg {
    pub jpeg: Vec<u8>,
    /// The remaining part, in coordinates of the original.
    pub area: Area,
}

/// Returns the 16:9 area of a 4:3 picture if there are dark bars above and below it.
///
/// A bar is dark if each row has a mean luma of at most 12 and no pixel over 40, of 255. The quarter of each
/// bar next to the picture is ignored: compression smears the picture into it, and a picture slightly taller
/// than 16:9 extends into it. A night scene that dark at top and bottom counts as letterboxed too, and loses
/// nothing visible.
#[must_use]
pub fn letterboxed_area(picture: &Picture) -> Option<Area> {
    let Picture { width, height, .. } = *picture;
    let visible = width * 9 / 16;
    if width * 3 != height * 4 || visible == 0 {
        return None;
    }
    let bar = (height - visible) / 2;
    let checked_rows = bar as usize * 3 / 4;
    if checked_rows == 0 {
        return None;
    }
    let rows = picture.rgb.chunks_exact(width as usize * 3).enumerate();
    let mut bar_rows = rows.filter(|(y, _)| *y < checked_rows || *y >= height as usize - checked_rows);
    let bars_are_dark = bar_rows.all(|(_, row)| is_dark(row));
    bars_are_dark.then_some(Area { x: 0, y: bar, width, height: visible })
}

fn is_dark(row: &[u8]) -> bool {
    let luma = |pixel: &[u8; 3]| {
        (77 * usize::from(pixel[0]) + 150 * usize::from(pixel[1]) + 29 * usize::from(pixel[2])) >> 8
    };
    let pixels = row.as_chunks::<3>().0;
    let sum: usize = pixels.iter().map(luma).sum();
    sum <= MAX_ROW_LUMA * pixels.len() && pixels.iter().all(|pixel| luma(pixel) <= MAX_PIXEL_LUMA)
}

/// Crops the letterbox bars of a JPEG; returns `None` if it has none.
///
/// # Errors
/// When the bytes are not a JPEG or cannot be decoded.
pub fn crop_bars(jpeg: &[u8]) -> Result<Option<CroppedJpeg>, ItemFailure> {
    let Some(visible) = letterboxed_area(&decode(jpeg)?) else { return Ok(None) };
    let undecodable = |error: &dyn std::fmt::Display| {
        ItemFailure::new(FailureReason::Undecodable, format!("the letterbox bars cannot be cropped: {error}"))
    };
    let jpeg = jpeg_header::plain(jpeg).map_err(|error| undecodable(&error))?;
    let header = turbojpeg::read_header(&jpeg).map_err(|error| undecodable(&error))?;
    let bottom = visible.y + visible.height;
    // A block is at most 32 rows high.
    let y = visible.y.next_multiple_of(header.subsamp.mcu_height() as u32);
    // In a tiny image, the first block that could be kept begins below the visible area.
    let Some(height) = bottom.checked_sub(y).filter(|height| *height > 0) else { return Ok(None) };
    let area = Area { y, height, ..visible };
    let mut transform = Transform::default();
    transform.copy_none = true;
    transform.crop = Some(TransformCrop {
        x: 0,
        y: y as usize,
        width: Some(area.width as usize),
        height: Some(area.height as usize),
    });
    let jpeg = turbojpeg::transform(&transform, &jpeg).map_err(|error| undecodable(&error))?.to_vec();
    Ok(Some(CroppedJpeg { jpeg, area }))
}

#[cfg(test)]
mod tests {
    use turbojpeg::{Image, PixelFormat, Subsamp};

    use super::*;
    use crate::real_data::real_data;

    /// A striped picture with bars of `bar` rows above and below.
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
    fn bars_are_detected_from_pixels() {
        let check = |picture: &Picture, expected: Option<[u32; 4]>| {
            assert_eq!(letterboxed_area(picture).map(<[u32; 4]>::from), expected);
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

    /// Crops a JPEG and compares the result with the same rows of the original, except `edge` rows at each
    /// end, where chroma upsampling used rows that were cropped.
    fn check_crop(jpeg: &[u8], edge: usize) -> Option<Area> {
        let CroppedJpeg { jpeg: cropped, area } = crop_bars(jpeg).unwrap()?;
        let (original, cropped) = (decode(jpeg).unwrap(), decode(&cropped).unwrap());
        assert_eq!((cropped.width, cropped.height), (area.width, area.height));
        let stride = area.width as usize * 3;
        let rows = |picture: &Picture, from: usize| {
            let rows = from + edge..from + area.height as usize - edge;
            picture.rgb[rows.start * stride..rows.end * stride].to_vec()
        };
        assert!(rows(&original, area.y as usize) == rows(&cropped, 0), "{area:?}");
        Some(area)
    }

    #[test]
    fn cropping_is_lossless() {
        let check = |picture: &Picture, subsamp, edge, expected: Option<[u32; 4]>| {
            assert_eq!(check_crop(&jpeg(picture, subsamp), edge).map(<[u32; 4]>::from), expected);
        };
        check(&striped(640, 480, 60, 0), Subsamp::None, 0, Some([0, 64, 640, 356]));
        check(&striped(640, 480, 60, 0), Subsamp::Sub2x2, 1, Some([0, 64, 640, 356]));
        check(&striped(480, 360, 45, 0), Subsamp::None, 0, Some([0, 48, 480, 267]));
        check(&striped(480, 360, 45, 0), Subsamp::Sub2x2, 1, Some([0, 48, 480, 267]));
        check(&striped(480, 360, 0, 0), Subsamp::Sub2x2, 0, None);
        check(&striped(24, 18, 2, 0), Subsamp::Sub2x2, 0, None);
    }

    #[test]
    fn undecodable_bytes_are_an_error() {
        assert_eq!(crop_bars(b"<html>").unwrap_err().reason, FailureReason::Undecodable);
        assert_eq!(serde_json::to_string(&Area::from([0, 64, 640, 356])).unwrap(), "[0,64,640,356]");
    }

    #[test]
    fn two_thirds_of_real_thumbnails_have_bars() {
        let Some(folder) = real_data("cropping of real thumbnails") else { return };
        let files = std::fs::read_dir(folder.join("fitness-3200/thumbnails")).unwrap();
        let (mut all, mut cropped) = (0, 0);
        for file in files {
            let area = check_crop(&std::fs::read(file.unwrap().path()).unwrap(), 1);
            assert!(area.is_none_or(|area| area == Area::from([0, 16, 120, 62])), "{area:?}");
            all += 1;
            cropped += usize::from(area.is_some());
        }
        println!("{cropped} of {all} have bars");
        assert_eq!((all, cropped), (3_200, 2_104));
    }
}
