//! Names of videos and channels, as they stand in lists and links.
//!
//! Owns what is a video id, a channel id and a handle, and how links lead to them. Does not own what a handle
//! or an old name stands for: that takes [a question](crate::youtube::request::resolve_url). Invariant: a
//! [`VideoId`] and a [`ChannelId`] are safe as the name of a file.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use url::Url;

/// Length of a video's id.
const VIDEO_ID: usize = 11;
/// Length of a channel's id, `UC` included.
const CHANNEL_ID: usize = 24;
/// Longest handle without its `@`.
const LONGEST_HANDLE: usize = 30;
/// Shortest handle of Latin letters; one of signs that are words may be a single one.
const SHORTEST_LATIN_HANDLE: usize = 3;
/// Hosts that serve videos and channels alike.
const HOSTS: [&str; 5] =
    ["www.youtube.com", "youtube.com", "m.youtube.com", "music.youtube.com", "www.youtube-nocookie.com"];
/// Host of short links to videos.
const SHORT_HOST: &str = "youtu.be";
/// Path segments before a video's id.
const VIDEO_PATHS: [&str; 4] = ["shorts", "embed", "live", "v"];

/// A text that names no video or channel.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("“{text}” is {problem}")]
pub struct IdError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

fn wrong(text: &str, problem: &'static str) -> IdError {
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
            /// Returns it as text.
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
    /// A video's id: 11 letters, digits, `_` and `-`.
    VideoId
}

text_newtype! {
    /// A channel's id: `UC` and 22 letters, digits, `_` and `-`.
    ChannelId
}

text_newtype! {
    /// The name that a channel chose, `@` included: up to 30 letters of any script,
    /// digits, `_`, `-`, `.` and `·`.
    Handle
}

impl FromStr for VideoId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() == VIDEO_ID && is_id(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(wrong(text, "no video id: those are 11 letters, digits, _ and -"))
    }
}

impl FromStr for ChannelId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() == CHANNEL_ID && text.starts_with("UC") && is_id(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(wrong(text, "no channel id: those are UC and 22 letters, digits, _ and -"))
    }
}

impl FromStr for Handle {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let is_part = |c: char| c.is_alphanumeric() || "_-.·".contains(c) || is_combining(c);
        let shortest = if text.is_ascii() { SHORTEST_LATIN_HANDLE } else { 1 };
        let fits = |name: &str| (shortest..=LONGEST_HANDLE).contains(&name.chars().count());
        if text.strip_prefix('@').is_some_and(|name| fits(name) && name.chars().all(is_part)) {
            return Ok(Self(text.to_owned()));
        }
        Err(wrong(text, "no handle: those are @ and 3 to 30 letters, digits, _, -, . and ·"))
    }
}

/// Whether a sign belongs to the letter before it, as vowels do in Indian scripts. Taken widely: anything
/// that is neither ASCII nor a space nor a control.
fn is_combining(c: char) -> bool {
    !c.is_ascii() && !c.is_whitespace() && !c.is_control()
}

/// What leads to a channel.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelRef {
    /// Its id.
    Id(ChannelId),
    /// Its handle.
    Handle(Handle),
    /// A link with an old name, `https://www.youtube.com/user/…` or `/c/…`, which has to be resolved.
    Link(String),
}

impl ChannelRef {
    /// Returns the link to the channel, as [`crate::youtube::request::resolve_url`] wants it.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Id(id) => format!("https://www.youtube.com/channel/{id}"),
            Self::Handle(handle) => format!("https://www.youtube.com/{handle}"),
            Self::Link(link) => link.clone(),
        }
    }

    /// Returns the shortest text that names the channel.
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
            Reference::Video(_) => Err(wrong(text, "a video where a channel is wanted")),
        }
    }
}

/// What a line of a list names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reference {
    /// A video.
    Video(VideoId),
    /// A channel.
    Channel(ChannelRef),
}

impl Reference {
    /// Returns the video.
    ///
    /// # Errors
    /// When it is a channel.
    pub fn video(self) -> Result<VideoId, IdError> {
        match self {
            Self::Video(id) => Ok(id),
            Self::Channel(channel) => Err(wrong(&channel.url(), "a channel where a video is wanted")),
        }
    }
}

impl FromStr for Reference {
    type Err = IdError;

    /// Reads an id, a handle or a link.
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
            return Err(wrong(text, "no video id, channel id (UC…), handle (@…) or link to YouTube"));
        }
        let link =
            if text.contains("://") { Url::parse(text) } else { Url::parse(&format!("https://{text}")) };
        let link = link.map_err(|_| wrong(text, "no link that can be read"))?;
        if !matches!(link.scheme(), "http" | "https") {
            return Err(wrong(text, "no link to YouTube"));
        }
        from_link(&link, text)
    }
}

fn from_link(link: &Url, text: &str) -> Result<Reference, IdError> {
    let segments: Vec<String> =
        link.path_segments().into_iter().flatten().filter(|part| !part.is_empty()).map(decoded).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let host = link.host_str().unwrap_or_default();
    if host == SHORT_HOST {
        let [id] = segments[..] else { return Err(wrong(text, "no link to a video")) };
        return Ok(Reference::Video(id.parse()?));
    }
    if !HOSTS.contains(&host) {
        return Err(wrong(text, "no link to YouTube"));
    }
    match segments[..] {
        ["watch"] => {
            let id = link.query_pairs().find(|(name, _)| name == "v");
            let (_, id) =
                id.ok_or_else(|| wrong(text, "a link to a video that does not say which (?v=…)"))?;
            Ok(Reference::Video(id.parse()?))
        }
        [kind, id] if VIDEO_PATHS.contains(&kind) => Ok(Reference::Video(id.parse()?)),
        ["channel", id, ..] => Ok(Reference::Channel(ChannelRef::Id(id.parse()?))),
        [handle, ..] if handle.starts_with('@') => {
            Ok(Reference::Channel(ChannelRef::Handle(handle.parse()?)))
        }
        [kind @ ("user" | "c"), name, ..] => {
            let mut link = Url::parse("https://www.youtube.com").expect("this is a link");
            link.path_segments_mut().expect("https links have paths").extend([kind, name]);
            Ok(Reference::Channel(ChannelRef::Link(link.into())))
        }
        _ => Err(wrong(text, "a link to neither a video nor a channel")),
    }
}

/// Undoes `%` escapes, as the query of a link has them too; in names there is no `+`, `&` or `=`.
fn decoded(segment: &str) -> String {
    let (name, value) = url::form_urlencoded::parse(segment.as_bytes()).next().unwrap_or_default();
    if value.is_empty() { name.into_owned() } else { segment.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: &str = "UCTwECeGqMZee77BjdoYtI2Q";

    #[test]
    fn videos_are_found_in_their_links() {
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
    fn channels_are_found_by_id_handle_and_link() {
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
    fn what_leads_nowhere_says_why() {
        let check = |text: &str, problem: &str| {
            let error = text.parse::<Reference>().unwrap_err();
            assert!(error.to_string().contains(problem), "{text}: {error}");
        };
        check("", "no video id, channel id");
        check("dQw4w9WgXc", "no video id, channel id");
        check("dQw4w9WgXc?", "no video id, channel id");
        check("../../passwd", "no link to YouTube");
        check("@ab", "no handle");
        check("@a b c", "no handle");
        check("https://example.org/watch?v=dQw4w9WgXcQ", "no link to YouTube");
        check("https://youtube.com.example.org/watch?v=dQw4w9WgXcQ", "no link to YouTube");
        check("ftp://youtube.com/watch?v=dQw4w9WgXcQ", "no link to YouTube");
        check("https://www.youtube.com/watch", "does not say which");
        check("https://www.youtube.com/watch?v=short", "no video id");
        check("https://www.youtube.com/channel/UCshort", "no channel id");
        check("https://www.youtube.com/playlist?list=PL1", "neither a video nor a channel");
        check("https://youtu.be/", "no link to a video");
        check("https://", "no link that can be read");
    }

    #[test]
    fn ids_are_checked_when_they_are_read_from_json() {
        assert_eq!(serde_json::from_str::<VideoId>("\"dQw4w9WgXcQ\"").unwrap().as_str(), "dQw4w9WgXcQ");
        assert!(serde_json::from_str::<VideoId>("\"../../passwd\"").is_err());
        assert!(serde_json::from_str::<ChannelId>("\"UC/../../../../../../etc/\"").is_err());
    }
}
