//! The list of videos that a source returns.

use std::collections::{BTreeMap, HashMap};

use dataset::metadata::Foreign;
use serde::{Deserialize, Serialize};

use crate::youtube::{
    counts::Count,
    ids::{ChannelId, VideoId},
    thumbnail::Variant,
};

/// The videos of one item, in the order of the source.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Listing {
    /// `None` for a chunk of a list.
    #[serde(default)]
    pub(crate) channel: Option<Channel>,
    pub(crate) videos: Vec<Video>,
    /// Time of the listing, in ms of Redis's clock.
    #[serde(default)]
    pub(crate) listed_ms: u64,
    /// Number of skipped videos, by reason.
    #[serde(default)]
    pub(crate) skipped: BTreeMap<String, u64>,
    /// Why the listing may be incomplete.
    #[serde(default)]
    pub(crate) truncated_reason: Option<String>,
    /// The thumbnails that were in the dataset already and that no crawl wrote, by file name; `None` before the crawl
    /// has looked.
    #[serde(default)]
    pub(crate) foreign: Option<HashMap<String, Foreign>>,
}

impl Listing {
    /// Counts a skipped video.
    pub(crate) fn skip(&mut self, reason: &str) {
        *self.skipped.entry(reason.to_owned()).or_default() += 1;
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Channel {
    pub(crate) id: ChannelId,
    pub(crate) title: String,
    /// `None` if hidden or unknown.
    #[serde(default)]
    pub(crate) subscribers: Option<Count>,
}

/// A video; fields that the source does not provide are `None`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Video {
    pub(crate) id: VideoId,
    #[serde(default)]
    pub(crate) title: Option<String>,
    /// The video's channel, if it differs from the listing's.
    #[serde(default)]
    pub(crate) channel: Option<Channel>,
    #[serde(default)]
    pub(crate) views: Option<Count>,
    /// RFC 3339.
    #[serde(default)]
    pub(crate) published: Option<String>,
    /// The relative date on a page, such as `2 years ago`.
    #[serde(default)]
    pub(crate) published_text: Option<String>,
    /// Thumbnail variants that exist, if the source lists them.
    #[serde(default)]
    pub(crate) variants: Option<Vec<Variant>>,
}

impl Video {
    #[must_use]
    pub(crate) fn with_id(id: VideoId) -> Self {
        Self {
            id,
            title: None,
            channel: None,
            views: None,
            published: None,
            published_text: None,
            variants: None,
        }
    }
}
