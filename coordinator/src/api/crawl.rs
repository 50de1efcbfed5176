//! What a crawl asks for.

use common::job::crawl::{Order, Source};
use serde::{Deserialize, Serialize};
use url::Url;

/// `POST /v1/submissions` with the kind `crawl`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrawlRequest {
    /// The dataset to write: a folder below those the server may read, as an absolute path or a URI. It is
    /// made where it is not there; what it holds stays, but for the rows of channels that are crawled again.
    pub out: String,
    /// Where listings come from.
    #[serde(default)]
    pub source: Source,
    /// Which videos of a channel are taken first.
    #[serde(default)]
    pub order: Order,
    /// Videos taken of a channel, at most.
    #[serde(default = "videos_per_channel")]
    pub videos_per_channel: u32,
    /// The channels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<CrawlChannel>,
    /// Videos by id or URL, instead of channels: with the source `list`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub videos: Vec<String>,
    /// The category of `videos`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Whether pages of the site may be read; the source `page` wants it said.
    #[serde(default)]
    pub page_reading: bool,
    /// Where the Data API stands, if not at Google's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_base: Option<Url>,
    /// Where the site stands, if not at YouTube's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web_base: Option<Url>,
    /// Where thumbnails lie, if not at YouTube's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_base: Option<Url>,
    /// Seconds after which jobs that are not finished are discarded as expired; nothing for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u64>,
}

fn videos_per_channel() -> u32 {
    CrawlRequest::VIDEOS_PER_CHANNEL
}

impl CrawlRequest {
    /// Videos taken of a channel where nothing else is said.
    pub const VIDEOS_PER_CHANNEL: u32 = 40;

    /// Makes a request into `out` that names nothing to crawl yet.
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
            page_reading: false,
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
    /// Its `@handle`, `UC…` id or URL.
    pub channel: String,
    /// The category that its rows bear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
}
