//! A thumbnail of a contact sheet, as small as it is shown.

use images::picture::Picture;

/// Largest that a thumbnail is shown.
pub(super) const MOST: (u32, u32) = (240, 180);

/// A thumbnail of a contact sheet.
#[derive(Clone, Debug)]
pub struct LabelledThumbnail {
    /// The video, or what the file is named after.
    pub video_id: String,
    /// Its label in raw units, if it has one.
    pub label: Option<f64>,
    /// Its picture, small; none where it cannot be decoded.
    pub picture: Option<Picture>,
}

/// The size in which a picture is shown: as large as has room, in its own proportions.
fn fitting(width: u32, height: u32) -> (u32, u32) {
    let scale = (f64::from(MOST.0) / f64::from(width)).min(f64::from(MOST.1) / f64::from(height));
    let scaled = |side: u32, most: u32| ((f64::from(side) * scale).round() as u32).clamp(1, most);
    (scaled(width, MOST.0), scaled(height, MOST.1))
}

/// Returns a copy that is as large as a contact sheet shows it.
pub(in crate::check) fn small(picture: &Picture) -> Picture {
    let (width, height) = fitting(picture.width, picture.height);
    picture.scaled(width, height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_fit_in_their_own_proportions() {
        for (size, want) in [
            ((1280, 720), (240, 135)),
            ((480, 360), (240, 180)),
            ((120, 90), (240, 180)),
            ((720, 1280), (101, 180)),
            ((10_000, 1), (240, 1)),
        ] {
            assert_eq!(fitting(size.0, size.1), want);
        }
    }
}
