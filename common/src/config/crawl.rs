//! Crawling: rate limits per kind of host, back-off after a block, the contact, and the Data API key.

use std::{path::PathBuf, time::Duration};

use documented::{Documented, DocumentedFields};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    error::{ConfigError, Origins, fail},
    secret,
};

/// Crawling: rate limits and the YouTube Data API.
#[derive(Clone, Debug, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default)]
pub struct CrawlSettings {
    /// Requests per second to a host of web pages, over all workers.
    pub crawl_web_per_second: f64,
    /// Concurrent requests to a host of web pages, over all workers.
    pub crawl_web_concurrency: u32,
    /// Requests per second to the Data API, over all workers.
    pub crawl_api_per_second: f64,
    /// Concurrent requests to the Data API, over all workers.
    pub crawl_api_concurrency: u32,
    /// Requests per second to a host of thumbnails, over all workers.
    pub crawl_image_per_second: f64,
    /// Concurrent requests to a host of thumbnails, over all workers.
    pub crawl_image_concurrency: u32,
    /// How long to back off from a host after it answers 429 without `Retry-After`, or a captcha, in seconds.
    pub crawl_backoff_seconds: u64,
    /// `http(s):` or `mailto:` URL in the user agent, where sites find who crawls them.
    pub crawl_contact: Option<Url>,
    /// Key of the YouTube Data API.
    #[serde(serialize_with = "secret::hidden")]
    pub youtube_api_key: Option<SecretString>,
    /// File that contains the key, instead of `SUBWATCH_YOUTUBE_API_KEY`.
    pub youtube_api_key_file: Option<PathBuf>,
    /// Data API units that the key may spend per day, until midnight Pacific time.
    pub youtube_quota_units: u64,
}

impl Default for CrawlSettings {
    fn default() -> Self {
        Self {
            crawl_web_per_second: 1.0,
            crawl_web_concurrency: 1,
            crawl_api_per_second: 10.0,
            crawl_api_concurrency: 1,
            crawl_image_per_second: 1.0,
            crawl_image_concurrency: 4,
            crawl_backoff_seconds: 3600,
            crawl_contact: None,
            youtube_api_key: None,
            youtube_api_key_file: None,
            youtube_quota_units: 10_000,
        }
    }
}

impl CrawlSettings {
    pub(super) fn read_files(&mut self, origins: &Origins) -> Result<(), ConfigError> {
        let path = self.youtube_api_key_file.as_deref();
        secret::read_into(&mut self.youtube_api_key, "youtube_api_key", "the key", path, origins)
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (kind, per_second, concurrency) in [
            ("web", self.crawl_web_per_second, self.crawl_web_concurrency),
            ("api", self.crawl_api_per_second, self.crawl_api_concurrency),
            ("image", self.crawl_image_per_second, self.crawl_image_concurrency),
        ] {
            if !(0.001..=1000.0).contains(&per_second) {
                return fail(&format!("crawl_{kind}_per_second"), &per_second, "between 0.001 and 1000");
            }
            if !(1..=256).contains(&concurrency) {
                return fail(&format!("crawl_{kind}_concurrency"), &concurrency, "between 1 and 256");
            }
        }
        if !(1..=7 * 24 * 3600).contains(&self.crawl_backoff_seconds) {
            return fail(
                "crawl_backoff_seconds",
                &self.crawl_backoff_seconds,
                "between 1 and 604800, a week",
            );
        }
        // The URL is put into a comment of the user agent. URLs escape everything that would end it except parentheses.
        let is_contact = |url: &Url| {
            ["http", "https", "mailto"].contains(&url.scheme()) && !url.as_str().contains(['(', ')'])
        };
        if let Some(contact) = self.crawl_contact.as_ref().filter(|contact| !is_contact(contact)) {
            return fail("crawl_contact", contact, "an http URL or mailto:ADDRESS, without parentheses");
        }
        if let Some(key) = &self.youtube_api_key {
            let is_key = |key: &str| !key.is_empty() && key.chars().all(|char| char.is_ascii_graphic());
            if !is_key(key.expose_secret()) {
                let want = "a key of visible ASCII characters, without spaces";
                return fail("youtube_api_key", &secret::HIDDEN, want);
            }
        }
        Ok(())
    }

    /// How long to back off from a host after a block.
    #[must_use]
    pub fn crawl_backoff(&self) -> Duration {
        Duration::from_secs(self.crawl_backoff_seconds)
    }
}
