//! The plan and the items of a crawl, as they travel in its jobs.
//!
//! How a site is read belongs to the crawler.
//! Invariant: a plan contains no secret. The Data API key is a setting of the workers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use url::Url;

/// Most videos in one item.
pub const MAX_VIDEOS: u32 = 500;

/// The source of video listings.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// YouTube's Data API v3, with the workers' key.
    #[default]
    Api,
    /// The pages of the site; the request must allow it with `page_reading`.
    Page,
    /// The submission lists the videos. Their counts come from the Data API if there is a key.
    List,
}

impl Source {
    pub const ALL: [Self; 3] = [Self::Api, Self::Page, Self::List];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Page => "page",
            Self::List => "list",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|source| source.name() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("unknown source '{text}' (known: {known})")
        })
    }
}

/// Order in which a channel's videos are taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Most views first.
    Popular,
    /// Newest first.
    #[default]
    Newest,
}

impl Order {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Popular => "popular",
            Self::Newest => "newest",
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Popular, Self::Newest]
            .into_iter()
            .find(|order| order.name() == text)
            .ok_or_else(|| format!("unknown order '{text}' (known: popular, newest)"))
    }
}

/// Base URLs of the sites; tests and mirrors replace them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Bases {
    /// The Data API: the base of `youtube/v3/…`.
    pub api: Url,
    /// The site whose pages are read.
    pub web: Url,
    /// The thumbnail host: the base of `vi/…`.
    pub image: Url,
}

impl Default for Bases {
    fn default() -> Self {
        let base = |text| Url::parse(text).expect("the literal is a URL");
        Self {
            api: base("https://www.googleapis.com/"),
            web: base("https://www.youtube.com/"),
            image: base("https://i.ytimg.com/"),
        }
    }
}

/// How to crawl; the same for all jobs of a submission.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CrawlPlan {
    pub source: Source,
    #[serde(default)]
    pub order: Order,
    /// At most this many videos of each channel.
    pub videos_per_channel: u32,
    /// Whether the request allows reading the site's pages.
    #[serde(default)]
    pub page_reading: bool,
    #[serde(default)]
    pub bases: Bases,
}

/// What one crawl job crawls.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CrawlTarget {
    /// A channel, by `@handle`, `UC…` ID or URL.
    Channel(String),
    /// Videos, by ID.
    Videos(Vec<String>),
}

/// One item of a crawl manifest. It also parses as a dataset item.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CrawlItem {
    /// Display name.
    pub item: String,
    /// Always 0: a crawl item has no file.
    #[serde(default)]
    pub bytes: u64,
    /// Category of its rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    pub target: CrawlTarget,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_of_older_and_newer_versions_are_read() {
        let plan: CrawlPlan =
            serde_json::from_str(r#"{"source": "api", "videos_per_channel": 5, "mood": "content"}"#).unwrap();
        assert_eq!((plan.order, plan.page_reading), (Order::Newest, false));
        assert_eq!(plan.bases, Bases::default());
        let bases: Bases = serde_json::from_str(r#"{"web": "http://127.0.0.1:9/"}"#).unwrap();
        assert_eq!((bases.web.port(), bases.image), (Some(9), Bases::default().image));
    }

    #[test]
    fn names_round_trip() {
        for source in Source::ALL {
            assert_eq!(source.name().parse(), Ok(source));
        }
        assert_eq!("newest".parse(), Ok(Order::Newest));
        assert_eq!("tv".parse::<Source>().unwrap_err(), "unknown source 'tv' (known: api, page, list)");
    }
}
