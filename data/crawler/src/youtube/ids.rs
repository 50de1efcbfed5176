//! Parses video IDs, channel IDs, handles and links.
//!
//! Does not resolve handles and old names to IDs: that takes [a request](crate::youtube::request::resolve_url).
//! Invariant: a [`VideoId`] and a [`ChannelId`] are safe as file names.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use url::Url;

const VIDEO_ID: usize = 11;
/// Including `UC`.
const CHANNEL_ID: usize = 24;
/// Longest handle in characters, without its `@`.
const MAX_HANDLE: usize = 30;
/// Shortest ASCII handle; in other scripts a handle may have a single character.
const MIN_ASCII_HANDLE: usize = 3;
/// Hosts of links to videos and channels.
const HOSTS: [&str; 5] =
    ["www.youtube.com", "youtube.com", "m.youtube.com", "music.youtube.com", "www.youtube-nocookie.com"];
const SHORT_HOSTS: [&str; 2] = ["youtu.be", "www.youtu.be"];
/// Path segments before a video ID.
const VIDEO_PATHS: [&str; 4] = ["shorts", "embed", "live", "v"];

/// A text that is not a valid name of a video or channel.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("“{text}” is {problem}")]
pub struct IdError {
    pub text: String,
    pub problem: &'static str,
}

fn invalid(text: &str, problem: &'static str) -> IdError {
    IdError { text: text.to_owned(), problem }
}

fn is_id(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

text_newtype! {
    /// 11 letters, digits, `_` and `-`.
    VideoId
}

text_newtype! {
    /// `UC` and 22 letters, digits, `_` and `-`.
    ChannelId
}

text_newtype! {
    /// `@` and up to 30 letters of any script, digits, `_`, `-`, `.` and `·`.
    Handle
}

impl FromStr for VideoId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() == VIDEO_ID && is_id(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(invalid(text, "not a video ID (11 letters, digits, _ and -)"))
    }
}

impl FromStr for ChannelId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() == CHANNEL_ID && text.starts_with("UC") && is_id(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(invalid(text, "not a channel ID (UC and 22 letters, digits, _ and -)"))
    }
}

impl FromStr for Handle {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let is_part = |c: char| c.is_alphanumeric() || "_-.·".contains(c) || is_combining(c);
        let shortest = if text.is_ascii() { MIN_ASCII_HANDLE } else { 1 };
        let fits = |name: &str| (shortest..=MAX_HANDLE).contains(&name.chars().count());
        if text.strip_prefix('@').is_some_and(|name| fits(name) && name.chars().all(is_part)) {
            return Ok(Self(text.to_owned()));
        }
        Err(invalid(text, "not a handle (@ and 3 to 30 letters, digits, _, -, . and ·)"))
    }
}

/// Whether a character may be a combining mark, such as a vowel sign in Indian scripts. Permissive: anything that is
/// not ASCII, whitespace or a control character.
fn is_combining(c: char) -> bool {
    !c.is_ascii() && !c.is_whitespace() && !c.is_control()
}

/// A reference to a channel.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelRef {
    Id(ChannelId),
    Handle(Handle),
    /// A link with an old name, `https://www.youtube.com/user/…` or `/c/…`, which has to be resolved.
    Link(String),
}

impl ChannelRef {
    /// The channel's URL, for [`crate::youtube::request::resolve_url`].
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Id(id) => format!("https://www.youtube.com/channel/{id}"),
            Self::Handle(handle) => format!("https://www.youtube.com/{handle}"),
            Self::Link(link) => link.clone(),
        }
    }

    /// The ID, handle or link.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Id(id) => id.to_string(),
            Self::Handle(handle) => handle.to_string(),
            Self::Link(link) => link.clone(),
        }
    }
}

impl FromStr for ChannelRef {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        match text.parse()? {
            Reference::Channel(channel) => Ok(channel),
            Reference::Video(_) => Err(invalid(text, "a video; a channel is required")),
        }
    }
}

/// A reference to a video or a channel.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reference {
    Video(VideoId),
    Channel(ChannelRef),
}

impl Reference {
    pub fn video(self) -> Result<VideoId, IdError> {
        match self {
            Self::Video(id) => Ok(id),
            Self::Channel(channel) => Err(invalid(&channel.url(), "a channel; a video is required")),
        }
    }
}

impl FromStr for Reference {
    type Err = IdError;

    /// Parses an ID, a handle or a link.
    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.starts_with('@') {
            return Ok(Self::Channel(ChannelRef::Handle(text.parse()?)));
        }
        if let Ok(id) = text.parse() {
            return Ok(Self::Video(id));
        }
        if let Ok(id) = text.parse() {
            return Ok(Self::Channel(ChannelRef::Id(id)));
        }
        if !text.contains('/') {
            return Err(invalid(text, "not a video ID, channel ID (UC…), handle (@…) or YouTube link"));
        }
        let link =
            if text.contains("://") { Url::parse(text) } else { Url::parse(&format!("https://{text}")) };
        let link = link.map_err(|_| invalid(text, "not a valid URL"))?;
        if !matches!(link.scheme(), "http" | "https") {
            return Err(invalid(text, "not a YouTube link"));
        }
        from_link(&link, text)
    }
}

/// Whether a URL leads to a page of YouTube.
#[must_use]
pub fn is_youtube_link(link: &Url) -> bool {
    link.host_str().is_some_and(|host| HOSTS.contains(&host) || SHORT_HOSTS.contains(&host))
}

fn from_link(link: &Url, text: &str) -> Result<Reference, IdError> {
    let segments: Vec<String> =
        link.path_segments().into_iter().flatten().filter(|part| !part.is_empty()).map(decoded).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let host = link.host_str().unwrap_or_default();
    if SHORT_HOSTS.contains(&host) {
        let [id] = segments[..] else { return Err(invalid(text, "not a link to a video")) };
        return Ok(Reference::Video(id.parse()?));
    }
    if !HOSTS.contains(&host) {
        return Err(invalid(text, "not a YouTube link"));
    }
    match segments[..] {
        ["watch"] => {
            let id = link.query_pairs().find(|(name, _)| name == "v");
            let (_, id) = id.ok_or_else(|| invalid(text, "a video link without its ID (?v=…)"))?;
            Ok(Reference::Video(id.parse()?))
        }
        [kind, id] if VIDEO_PATHS.contains(&kind) => Ok(Reference::Video(id.parse()?)),
        ["channel", id, ..] => Ok(Reference::Channel(ChannelRef::Id(id.parse()?))),
        [handle, ..] if handle.starts_with('@') => {
            Ok(Reference::Channel(ChannelRef::Handle(handle.parse()?)))
        }
        [kind @ ("user" | "c"), name, ..] => {
            let mut link = Url::parse("https://www.youtube.com").expect("the literal is a valid URL");
            link.path_segments_mut().expect("https links have paths").extend([kind, name]);
            Ok(Reference::Channel(ChannelRef::Link(link.into())))
        }
        _ => Err(invalid(text, "not a link to a video or a channel")),
    }
}

/// Decodes `%` escapes with the decoder for queries, since names contain no `+`, `&` or `=`.
fn decoded(segment: &str) -> String {
    let (name, value) = url::form_urlencoded::parse(segment.as_bytes()).next().unwrap_or_default();
    if value.is_empty() { name.into_owned() } else { segment.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: &str = "UCTwECeGqMZee77BjdoYtI2Q";

    #[test]
    fn video_links_are_parsed() {
        let check = |text: &str| {
            let found = text.parse::<Reference>().and_then(Reference::video);
            assert_eq!(found.as_ref().map(VideoId::as_str), Ok("dQw4w9WgXcQ"), "{text}");
        };
        check("dQw4w9WgXcQ");
        check("https://www.youtube.com/watch?v=dQw4w9WgXcQ");
        check("https://www.youtube.com/watch?list=PL1&v=dQw4w9WgXcQ&t=42s");
        check("http://m.youtube.com/watch?v=dQw4w9WgXcQ#t=1");
        check("youtube.com/watch?v=dQw4w9WgXcQ");
        check("https://youtu.be/dQw4w9WgXcQ?si=abc");
        check("youtu.be/dQw4w9WgXcQ");
        check("https://www.youtube.com/shorts/dQw4w9WgXcQ");
        check("https://www.youtube.com/embed/dQw4w9WgXcQ?start=3");
        check("https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ");
        check("https://www.youtube.com/live/dQw4w9WgXcQ/");
    }

    #[test]
    fn channels_are_parsed_from_ids_handles_and_links() {
        let check = |text: &str, url: &str| {
            assert_eq!(text.parse::<ChannelRef>().map(|channel| channel.url()), Ok(url.to_owned()), "{text}");
        };
        let by_id = format!("https://www.youtube.com/channel/{CHANNEL}");
        check(CHANNEL, &by_id);
        check(&by_id, &by_id);
        check(&format!("youtube.com/channel/{CHANNEL}/videos?view=0"), &by_id);
        check("@creativecommons", "https://www.youtube.com/@creativecommons");
        check("https://www.youtube.com/@creativecommons/videos", "https://www.youtube.com/@creativecommons");
        check("https://www.youtube.com/@%E3%83%9E%E3%82%A4", "https://www.youtube.com/@マイ");
        check("@नमस्ते", "https://www.youtube.com/@नमस्ते");
        check("http://www.youtube.com/user/creativecommons", "https://www.youtube.com/user/creativecommons");
        check("https://youtube.com/c/Some%20Name/about", "https://www.youtube.com/c/Some%20Name");
    }

    #[test]
    fn invalid_references_are_rejected_with_a_reason() {
        let check = |text: &str, problem: &str| {
            let error = text.parse::<Reference>().unwrap_err();
            assert!(error.to_string().contains(problem), "{text}: {error}");
        };
        check("", "not a video ID, channel ID");
        check("dQw4w9WgXc", "not a video ID, channel ID");
        check("dQw4w9WgXc?", "not a video ID, channel ID");
        check("../../passwd", "not a YouTube link");
        check("@ab", "not a handle");
        check("@a b c", "not a handle");
        check("https://example.org/watch?v=dQw4w9WgXcQ", "not a YouTube link");
        check("https://youtube.com.example.org/watch?v=dQw4w9WgXcQ", "not a YouTube link");
        check("ftp://youtube.com/watch?v=dQw4w9WgXcQ", "not a YouTube link");
        check("https://www.youtube.com/watch", "without its ID (?v=…)");
        check("https://www.youtube.com/watch?v=short", "not a video ID (11");
        check("https://www.youtube.com/channel/UCshort", "not a channel ID (UC");
        check("https://www.youtube.com/playlist?list=PL1", "not a link to a video or a channel");
        check("https://youtu.be/", "not a link to a video");
        check("https://", "not a valid URL");
    }

    #[test]
    fn ids_are_validated_when_deserialized() {
        assert_eq!(serde_json::from_str::<VideoId>("\"dQw4w9WgXcQ\"").unwrap().as_str(), "dQw4w9WgXcQ");
        assert!(serde_json::from_str::<VideoId>("\"../../passwd\"").is_err());
        assert!(serde_json::from_str::<ChannelId>("\"UC/../../../../../../etc/\"").is_err());
    }
}
