//! Thumbnail variants, and the classification of responses to requests for them.
//!
//! Owns the variants' names, sizes and order, and recognises the grey placeholder for a missing thumbnail. Does not
//! own fetching and pixels (see [`images::letterbox`]).

use std::fmt;

use images::{decode::jpeg_size, missing_thumbnail::is_placeholder};
use serde::{Deserialize, Serialize};

use super::ids::VideoId;

/// Size in pixels of the grey placeholder for a missing thumbnail. No variant has this size.
const PLACEHOLDER_SIZE: (u32, u32) = (120, 90);

/// A thumbnail variant, by YouTube's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// 1280×720; most videos have it.
    MaxRes,
    /// 640×480; almost all videos have it. 16:9 images have letterbox bars.
    Sd,
    /// 480×360; all videos have it, with the same bars.
    Hq,
    /// 320×180; all videos have it.
    Mq,
}

impl Variant {
    /// In the order in which variants are tried.
    pub const BEST_FIRST: [Self; 4] = [Self::MaxRes, Self::Sd, Self::Hq, Self::Mq];

    /// The variant to try if this one is missing.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::MaxRes => Some(Self::Sd),
            Self::Sd => Some(Self::Hq),
            Self::Hq => Some(Self::Mq),
            Self::Mq => None,
        }
    }

    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::MaxRes => "maxresdefault.jpg",
            Self::Sd => "sddefault.jpg",
            Self::Hq => "hqdefault.jpg",
            Self::Mq => "mqdefault.jpg",
        }
    }

    /// Width and height in pixels.
    #[must_use]
    pub const fn size(self) -> (u32, u32) {
        match self {
            Self::MaxRes => (1280, 720),
            Self::Sd => (640, 480),
            Self::Hq => (480, 360),
            Self::Mq => (320, 180),
        }
    }

    /// Whether the variant is 4:3, so that 16:9 images have letterbox bars.
    #[must_use]
    pub const fn may_have_bars(self) -> bool {
        matches!(self, Self::Sd | Self::Hq)
    }

    /// `base` is the site, such as `https://i.ytimg.com`.
    #[must_use]
    pub fn url(self, base: &str, video: &VideoId) -> String {
        format!("{}/vi/{video}/{}", base.trim_end_matches('/'), self.file())
    }

    /// Name in the Data API.
    pub(super) const fn api_name(self) -> &'static str {
        match self {
            Self::MaxRes => "maxres",
            Self::Sd => "standard",
            Self::Hq => "high",
            Self::Mq => "medium",
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MaxRes => "maxres",
            Self::Sd => "sd",
            Self::Hq => "hq",
            Self::Mq => "mq",
        })
    }
}

/// The result of a request for a thumbnail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ThumbnailResponse {
    /// A JPEG of this width and height.
    Image(u32, u32),
    /// The variant does not exist: try [the next](Variant::next).
    Missing,
    /// The host blocks requests with this status: back off.
    Blocked(u16),
    /// The server failed or returned something else than a JPEG: retry.
    Failed(String),
}

/// Classifies a response. Only the JPEG's header is read; a truncated image is detected when it is decoded.
#[must_use]
pub fn classify(status: u16, bytes: &[u8]) -> ThumbnailResponse {
    match status {
        200 => {}
        404 | 410 => return ThumbnailResponse::Missing,
        401 | 403 | 429 => return ThumbnailResponse::Blocked(status),
        _ => return ThumbnailResponse::Failed(format!("HTTP {status}")),
    }
    if is_placeholder(bytes) {
        return ThumbnailResponse::Missing;
    }
    match jpeg_size(bytes) {
        // The placeholder with another compression.
        Ok(PLACEHOLDER_SIZE) => ThumbnailResponse::Missing,
        Ok((width, height)) => ThumbnailResponse::Image(width, height),
        Err(error) => {
            ThumbnailResponse::Failed(format!("the response of {} bytes is not a JPEG: {error}", bytes.len()))
        }
    }
}

#[cfg(test)]
mod tests {
    use images::{encode, picture::Picture};

    use super::*;
    use crate::real_data::real_data;

    fn jpeg(width: u32, height: u32) -> Vec<u8> {
        let rgb = vec![77; (width * height * 3) as usize];
        encode::jpeg(&Picture { width, height, rgb }, 90).unwrap()
    }

    #[test]
    fn variants_are_ordered_from_the_largest() {
        let tried = std::iter::successors(Some(Variant::MaxRes), |variant| variant.next());
        assert_eq!(tried.collect::<Vec<_>>(), Variant::BEST_FIRST);
        let id = "dQw4w9WgXcQ".parse().unwrap();
        let url = "https://i.ytimg.com/vi/dQw4w9WgXcQ/maxresdefault.jpg";
        assert_eq!(Variant::MaxRes.url("https://i.ytimg.com/", &id), url);
        let is_4_to_3 = |variant: &Variant| variant.size().0 * 3 == variant.size().1 * 4;
        assert_eq!(
            Variant::BEST_FIRST.map(|variant| is_4_to_3(&variant)),
            Variant::BEST_FIRST.map(Variant::may_have_bars)
        );
        assert_eq!(serde_json::to_string(&Variant::MaxRes).unwrap(), "\"maxres\"");
        assert_eq!(Variant::MaxRes.to_string(), "maxres");
    }

    #[test]
    fn responses_are_classified_by_status_and_bytes() {
        assert_eq!(classify(200, &jpeg(640, 480)), ThumbnailResponse::Image(640, 480));
        assert_eq!(classify(200, &jpeg(120, 90)), ThumbnailResponse::Missing);
        assert_eq!(classify(404, &jpeg(640, 480)), ThumbnailResponse::Missing);
        assert_eq!(classify(429, b""), ThumbnailResponse::Blocked(429));
        assert_eq!(classify(503, b""), ThumbnailResponse::Failed("HTTP 503".to_owned()));
        for bytes in [&b""[..], b"<html>", &[0xff, 0xd8, 0xff]] {
            assert!(matches!(classify(200, bytes), ThumbnailResponse::Failed(_)), "{bytes:?}");
        }
    }

    #[test]
    fn placeholder_is_recognised_by_its_bytes() {
        let Some(folder) = real_data("did not read the recorded placeholder") else { return };
        let mut bytes = std::fs::read(folder.join("odd-images/youtube-missing-placeholder.jpg")).unwrap();
        assert!(is_placeholder(&bytes));
        assert_eq!(
            (classify(200, &bytes), classify(404, &bytes)),
            (ThumbnailResponse::Missing, ThumbnailResponse::Missing)
        );
        bytes[500] ^= 1;
        assert!(!is_placeholder(&bytes));
        assert_eq!(classify(200, &bytes), ThumbnailResponse::Missing);
    }
}
