//! The words of a crawl: what is asked for, and what travels in its jobs.
//!
//! Owns the plan of a crawl and its items; does not own how a site is read, nor what it answers.
//! Invariant: a plan holds no secret. The key of the Data API is a setting of the workers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use url::Url;

/// Most videos that one item may ask for.
pub const MAX_VIDEOS: u32 = 500;

/// Where listings come from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// YouTube's Data API v3, with the key of the workers.
    #[default]
    Api,
    /// The pages of the site, which whoever asks has to want expressly.
    Page,
    /// No listing at all: the videos are named. Their counts come from the Data API where there is a key.
    List,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 3] = [Self::Api, Self::Page, Self::List];

    /// Returns the name used in rows, logs and on the command line.
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

/// Which of a channel's videos are taken first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Those with the most views.
    Popular,
    /// The newest.
    #[default]
    Newest,
}

impl Order {
    /// Returns the name used on the command line.
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

/// Where the sites stand.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Bases {
    /// The Data API, below which `youtube/v3/…` lies.
    pub api: Url,
    /// The site of pages.
    pub web: Url,
    /// The site of thumbnails, below which `vi/…` lies.
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

/// How a crawl is to be done: the same for all of its jobs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CrawlPlan {
    /// Where listings come from.
    pub source: Source,
    /// Which videos are taken first.
    #[serde(default)]
    pub order: Order,
    /// Videos taken of a channel, at most.
    pub videos_per_channel: u32,
    /// Whether whoever asks wants pages of the site to be read.
    #[serde(default)]
    pub page_reading: bool,
    /// Where the sites stand.
    #[serde(default)]
    pub bases: Bases,
}

/// What one crawl job is about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CrawlTarget {
    /// A channel, by `@handle`, `UC…` id or URL.
    Channel(String),
    /// Videos, by id.
    Videos(Vec<String>),
}

/// One item of a crawl, as it stands in a manifest. It reads as an item of a dataset as well.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CrawlItem {
    /// What people call it.
    pub item: String,
    /// Always 0: there is no file.
    #[serde(default)]
    pub bytes: u64,
    /// The category that its rows bear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// What to crawl.
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
    fn names_read_back() {
        for source in Source::ALL {
            assert_eq!(source.name().parse(), Ok(source));
        }
        assert_eq!("newest".parse(), Ok(Order::Newest));
        assert_eq!("tv".parse::<Source>().unwrap_err(), "unknown source 'tv' (known: api, page, list)");
    }
}
