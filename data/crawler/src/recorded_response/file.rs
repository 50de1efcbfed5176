//! File format of a recorded response: a header as one line of JSON, then the unchanged body.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The endpoint of a response, which selects its parser.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    ChannelPage,
    /// A continuation of a channel's videos.
    MoreVideos,
    /// `channels.list` of the Data API.
    ApiChannels,
    /// `playlistItems.list` of the Data API.
    ApiUploads,
    /// `videos.list` of the Data API.
    ApiVideos,
}

impl Endpoint {
    #[must_use]
    pub fn file_extension(self) -> &'static str {
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

/// The header of a recorded response.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RecordedResponse {
    pub endpoint: Endpoint,
    /// The crawl item, as the user named it.
    pub item: String,
    pub url: String,
    pub status: u16,
    /// The parser's error when the response was recorded.
    pub original_error: String,
    /// Whether the body was cut off at the size limit.
    #[serde(default)]
    pub truncated: bool,
}

impl RecordedResponse {
    /// Returns the file with this header and `body`.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "a struct of plain fields always serializes")]
    pub fn write(&self, body: &[u8]) -> Vec<u8> {
        let mut file = serde_json::to_vec(self).expect("a struct of plain fields always serializes");
        file.push(b'\n');
        file.extend_from_slice(body);
        file
    }

    /// Splits a file into its header and its body.
    pub fn read(file: &[u8]) -> Result<(Self, &[u8]), serde_json::Error> {
        let end = file.iter().position(|byte| *byte == b'\n').unwrap_or(file.len());
        let recorded = serde_json::from_slice(&file[..end])?;
        Ok((recorded, file.get(end + 1..).unwrap_or_default()))
    }
}
