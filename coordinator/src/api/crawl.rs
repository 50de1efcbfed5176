//! Crawl requests.

use common::job::crawl::{Order, Source};
use serde::{Deserialize, Serialize};
use url::Url;

/// `POST /v1/submissions` with the kind `crawl`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrawlRequest {
    /// The dataset to write: an absolute path or URI under one of the server's dataset roots. A missing folder is
    /// created; existing rows are kept, except those of channels that are crawled again.
    pub out: String,
    /// Where listings come from.
    #[serde(default)]
    pub source: Source,
    /// Which of a channel's videos are taken first.
    #[serde(default)]
    pub order: Order,
    /// Maximum number of videos per channel.
    #[serde(default = "videos_per_channel")]
    pub videos_per_channel: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<CrawlChannel>,
    /// Video IDs or URLs, instead of channels; only with the source `list`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub videos: Vec<String>,
    /// The category of `videos`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Whether workers may read the site's HTML pages; the source `page` requires it.
    #[serde(default)]
    pub read_pages: bool,
    /// Base URL of the Data API. Default: Google's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_base: Option<Url>,
    /// Base URL of the site. Default: YouTube's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web_base: Option<Url>,
    /// Base URL of thumbnails. Default: YouTube's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_base: Option<Url>,
    /// Seconds after which unfinished jobs are discarded as expired. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u64>,
}

fn videos_per_channel() -> u32 {
    CrawlRequest::VIDEOS_PER_CHANNEL
}

impl CrawlRequest {
    /// Default of `videos_per_channel`.
    pub const VIDEOS_PER_CHANNEL: u32 = 40;

    /// Makes a request that writes to `out`, without channels or videos.
    #[must_use]
    pub fn into_dataset(out: String) -> Self {
        Self {
            out,
            source: Source::default(),
            order: Order::default(),
            videos_per_channel: videos_per_channel(),
            channels: Vec::new(),
            videos: Vec::new(),
            category: None,
            read_pages: false,
            api_base: None,
            web_base: None,
            image_base: None,
            deadline_seconds: None,
        }
    }
}

/// A channel to crawl.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrawlChannel {
    /// `@handle`, `UC…` id or URL.
    pub channel: String,
    /// The category of the channel's rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
}
