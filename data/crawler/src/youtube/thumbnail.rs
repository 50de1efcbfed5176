//! The thumbnails there may be of a video, and what a server sent for one.
//!
//! Owns their names, sizes and order, and recognising the grey picture that stands for a missing one. Does
//! not own fetching them, nor their pixels (see [`images::letterbox`]).

use std::fmt;

use images::{decode::jpeg_size, missing_thumbnail::is_placeholder};
use serde::{Deserialize, Serialize};

use super::ids::VideoId;

/// Size in pixels of the grey picture that stands for a missing thumbnail, which no variant here has.
const PLACEHOLDER_SIZE: (u32, u32) = (120, 90);

/// A thumbnail's size, by YouTube's name for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// 1280×720, of most videos.
    MaxRes,
    /// 640×480, of almost all; what is 16:9 has bars above and below.
    Sd,
    /// 480×360, of all; with the same bars.
    Hq,
    /// 320×180, of all.
    Mq,
}

impl Variant {
    /// All of them, in the order in which they are tried.
    pub const BEST_FIRST: [Self; 4] = [Self::MaxRes, Self::Sd, Self::Hq, Self::Mq];

    /// Returns the one to try when this is missing.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::MaxRes => Some(Self::Sd),
            Self::Sd => Some(Self::Hq),
            Self::Hq => Some(Self::Mq),
            Self::Mq => None,
        }
    }

    /// Returns the name of its file.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::MaxRes => "maxresdefault.jpg",
            Self::Sd => "sddefault.jpg",
            Self::Hq => "hqdefault.jpg",
            Self::Mq => "mqdefault.jpg",
        }
    }

    /// Returns its width and height in pixels.
    #[must_use]
    pub const fn size(self) -> (u32, u32) {
        match self {
            Self::MaxRes => (1280, 720),
            Self::Sd => (640, 480),
            Self::Hq => (480, 360),
            Self::Mq => (320, 180),
        }
    }

    /// Whether it is 4:3, so that 16:9 pictures have bars in it.
    #[must_use]
    pub const fn may_have_bars(self) -> bool {
        matches!(self, Self::Sd | Self::Hq)
    }

    /// Returns the address of it for `video` under `base`, such as `https://i.ytimg.com`.
    #[must_use]
    pub fn url(self, base: &str, video: &VideoId) -> String {
        format!("{}/vi/{video}/{}", base.trim_end_matches('/'), self.file())
    }

    /// Returns the name that the Data API has for it.
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

/// What a server sent for a thumbnail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// The picture, of this width and height.
    Picture(u32, u32),
    /// There is none of this variant: try [the next](Variant::next).
    Missing,
    /// Requests are not welcome: every one to this host should rest.
    Refused(u16),
    /// The server failed, or sent something that is no picture; it may do better in a moment.
    Failed(String),
}

/// Judges an answer by its status and its bytes. That the picture is whole shows only when it is decoded.
#[must_use]
pub fn judge(status: u16, bytes: &[u8]) -> Reply {
    match status {
        200 => {}
        404 | 410 => return Reply::Missing,
        401 | 403 | 429 => return Reply::Refused(status),
        _ => return Reply::Failed(format!("HTTP {status}")),
    }
    if is_placeholder(bytes) {
        return Reply::Missing;
    }
    match jpeg_size(bytes) {
        // The same grey, compressed anew.
        Ok(PLACEHOLDER_SIZE) => Reply::Missing,
        Ok((width, height)) => Reply::Picture(width, height),
        Err(error) => Reply::Failed(format!("{} bytes that are no JPEG: {error}", bytes.len())),
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
    fn variants_are_tried_from_the_best_to_the_one_that_is_always_there() {
        let tried = std::iter::successors(Some(Variant::MaxRes), |variant| variant.next());
        assert_eq!(tried.collect::<Vec<_>>(), Variant::BEST_FIRST);
        let id = "dQw4w9WgXcQ".parse().unwrap();
        let url = "https://i.ytimg.com/vi/dQw4w9WgXcQ/maxresdefault.jpg";
        assert_eq!(Variant::MaxRes.url("https://i.ytimg.com/", &id), url);
        let sized = |variant: &Variant| variant.size().0 * 3 == variant.size().1 * 4;
        assert_eq!(
            Variant::BEST_FIRST.map(|variant| sized(&variant)),
            Variant::BEST_FIRST.map(Variant::may_have_bars)
        );
        assert_eq!(serde_json::to_string(&Variant::MaxRes).unwrap(), "\"maxres\"");
        assert_eq!(Variant::MaxRes.to_string(), "maxres");
    }

    #[test]
    fn replies_are_judged_by_status_and_bytes() {
        assert_eq!(judge(200, &jpeg(640, 480)), Reply::Picture(640, 480));
        assert_eq!(judge(200, &jpeg(120, 90)), Reply::Missing);
        assert_eq!(judge(404, &jpeg(640, 480)), Reply::Missing);
        assert_eq!(judge(429, b""), Reply::Refused(429));
        assert_eq!(judge(503, b""), Reply::Failed("HTTP 503".to_owned()));
        for bytes in [&b""[..], b"<html>", &[0xff, 0xd8, 0xff]] {
            assert!(matches!(judge(200, bytes), Reply::Failed(_)), "{bytes:?}");
        }
    }

    #[test]
    fn the_placeholder_is_known_by_its_bytes() {
        let Some(folder) = real_data("did not read the recorded placeholder") else { return };
        let mut bytes = std::fs::read(folder.join("odd-images/youtube-missing-placeholder.jpg")).unwrap();
        assert!(is_placeholder(&bytes));
        assert_eq!((judge(200, &bytes), judge(404, &bytes)), (Reply::Missing, Reply::Missing));
        bytes[500] ^= 1;
        assert!(!is_placeholder(&bytes));
        assert_eq!(judge(200, &bytes), Reply::Missing);
    }
}
