//! What decides the group of a sample.

use std::{fmt, str::FromStr};

use common::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::manifest::ManifestItem;

/// How samples are grouped: a group is never divided between splits. Samples with the same image are always in the same
/// group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SplitBy {
    /// Each video is its own group.
    Video,
    /// All videos of a channel are one group: the split sizes are as close as the channels allow.
    Channel,
}

impl fmt::Display for SplitBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Video => "video",
            Self::Channel => "channel",
        })
    }
}

impl FromStr for SplitBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "video" => Ok(Self::Video),
            "channel" => Ok(Self::Channel),
            _ => Err(format!("unknown split '{text}' (known: video, channel)")),
        }
    }
}

/// What decides the group of a sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SampleKey<'a> {
    /// Unique in the dataset.
    pub video_id: &'a str,
    pub channel_id: Option<&'a str>,
    pub channel_name: Option<&'a str>,
    /// SHA-256 of the image.
    pub sha256: Digest,
}

impl<'a> SampleKey<'a> {
    /// Returns the key of an item. The file name replaces a missing video ID.
    #[must_use]
    pub fn of(item: &'a ManifestItem, sha256: Digest) -> Self {
        Self {
            video_id: item.video_id.as_deref().unwrap_or(&item.item),
            channel_id: item.channel_id.as_deref(),
            channel_name: item.channel.as_deref(),
            sha256,
        }
    }

    /// Returns the channel's ID, or else its name.
    pub(super) fn channel(&self) -> Option<&'a str> {
        self.channel_id.or(self.channel_name)
    }
}
