//! The form of a kept answer: one line of JSON that says which request it answered, then the body as it came.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a body answered, and so how it is read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// A channel's page.
    ChannelPage,
    /// More of a channel's videos.
    MoreVideos,
    /// `channels.list` of the Data API.
    ApiChannels,
    /// `playlistItems.list` of the Data API.
    ApiUploads,
    /// `videos.list` of the Data API.
    ApiVideos,
}

impl Endpoint {
    /// Returns how the name of its file ends.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::ChannelPage => "html",
            Self::MoreVideos | Self::ApiChannels | Self::ApiUploads | Self::ApiVideos => "json",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// What the first line of a kept answer says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RecordedResponse {
    /// What it answered.
    #[serde(rename = "means")]
    pub endpoint: Endpoint,
    /// The channel or slice it is about, as it was named.
    pub item: String,
    /// Who answered.
    pub url: String,
    /// HTTP status.
    pub status: u16,
    /// Why it could not be read.
    pub why: String,
    /// Whether the end of it is missing.
    #[serde(default)]
    pub cut: bool,
}

impl RecordedResponse {
    /// Returns the file: this, then `body`.
    ///
    /// # Panics
    /// Never: it is plain data.
    #[must_use]
    pub fn write(&self, body: &[u8]) -> Vec<u8> {
        let mut file = serde_json::to_vec(self).expect("it is plain data");
        file.push(b'\n');
        file.extend_from_slice(body);
        file
    }

    /// Reads a file and returns its body as well.
    ///
    /// # Errors
    /// When its first line does not say what it answered.
    pub fn read(file: &[u8]) -> Result<(Self, &[u8]), serde_json::Error> {
        let end = file.iter().position(|byte| *byte == b'\n').unwrap_or(file.len());
        let kept = serde_json::from_slice(&file[..end])?;
        Ok((kept, file.get(end + 1..).unwrap_or_default()))
    }
}
