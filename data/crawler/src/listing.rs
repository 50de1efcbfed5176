//! What a source lists, whichever it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::youtube::{
    counts::Count,
    ids::{ChannelId, VideoId},
    thumbnail::Variant,
};

/// The videos of one item, in the order in which they are taken.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Listing {
    /// The channel; nothing for a slice of a list.
    #[serde(default)]
    pub(crate) channel: Option<Channel>,
    /// The videos.
    pub(crate) videos: Vec<Video>,
    /// When they were listed, in Redis's time.
    #[serde(default)]
    pub(crate) listed_ms: u64,
    /// Videos that were seen and not taken, by reason.
    #[serde(default)]
    pub(crate) skipped: BTreeMap<String, u64>,
    /// Why there may be more, where the source does not just end.
    #[serde(default)]
    pub(crate) truncated_reason: Option<String>,
}

impl Listing {
    /// Counts a video that is not taken.
    pub(crate) fn leave_out(&mut self, reason: &str) {
        *self.skipped.entry(reason.to_owned()).or_default() += 1;
    }
}

/// Who a channel is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Channel {
    /// Its id.
    pub(crate) id: ChannelId,
    /// Its name.
    pub(crate) title: String,
    /// How many subscribe to it, where it says.
    #[serde(default)]
    pub(crate) subscribers: Option<Count>,
}

/// A video, as far as its source tells.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Video {
    /// Its id.
    pub(crate) id: VideoId,
    /// Its title.
    #[serde(default)]
    pub(crate) title: Option<String>,
    /// Its channel, where that is not the listing's.
    #[serde(default)]
    pub(crate) channel: Option<Channel>,
    /// How often it was seen.
    #[serde(default)]
    pub(crate) views: Option<Count>,
    /// When it was published, as RFC 3339.
    #[serde(default)]
    pub(crate) published: Option<String>,
    /// The same in the words of a page.
    #[serde(default)]
    pub(crate) published_text: Option<String>,
    /// The thumbnails that there are of it; nothing where the source does not say.
    #[serde(default)]
    pub(crate) variants: Option<Vec<Variant>>,
}

impl Video {
    /// Makes a video of which nothing is known but its id.
    #[must_use]
    pub(crate) fn named(id: VideoId) -> Self {
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
