//! The thumbnails of a contact sheet.

use images::picture::Picture;

/// Maximum width and height on the contact sheet, in pixels.
pub(super) const MAX_SIZE: (u32, u32) = (240, 180);

#[derive(Clone, Debug)]
pub struct LabelledThumbnail {
    /// The video ID, or the file name without its extension.
    pub video_id: String,
    /// In raw units; `None` if the item has no label.
    pub label: Option<f64>,
    /// At most 240×180 pixels; `None` if the image cannot be decoded.
    pub picture: Option<Picture>,
}

/// Returns the largest size within [`MAX_SIZE`] that keeps the aspect ratio.
fn fit(width: u32, height: u32) -> (u32, u32) {
    let scale = (f64::from(MAX_SIZE.0) / f64::from(width)).min(f64::from(MAX_SIZE.1) / f64::from(height));
    let scaled = |side: u32, max: u32| ((f64::from(side) * scale).round() as u32).clamp(1, max);
    (scaled(width, MAX_SIZE.0), scaled(height, MAX_SIZE.1))
}

/// Scales a picture for the contact sheet.
pub(in crate::check) fn thumbnail(picture: &Picture) -> Picture {
    let (width, height) = fit(picture.width, picture.height);
    picture.scaled(width, height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_keeps_the_aspect_ratio() {
        for (size, want) in [
            ((1280, 720), (240, 135)),
            ((480, 360), (240, 180)),
            ((120, 90), (240, 180)),
            ((720, 1280), (101, 180)),
            ((10_000, 1), (240, 1)),
        ] {
            assert_eq!(fit(size.0, size.1), want);
        }
    }
}
