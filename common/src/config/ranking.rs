//! Rankings of channels, read with a browser.

use std::time::Duration;

use documented::{Documented, DocumentedFields};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    error::{ConfigError, fail},
    secret,
};

/// Rankings: the browser that reads them, and their page layout.
#[derive(Clone, Debug, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default)]
pub struct RankingSettings {
    /// URL of a running Chromium WebDriver to read rankings with. If unset, `chromedriver` is started for the
    /// duration of the command.
    pub ranking_webdriver: Option<Url>,
    /// CSS selector of the rows of a ranking, best rank first.
    pub ranking_rows: String,
    /// CSS selector of the links in a row. The first link to a channel counts.
    pub ranking_link: String,
    /// CSS selector of an element that appears once the ranking is complete. If unset, a ranking is complete
    /// when its number of rows has not changed for a second.
    pub ranking_ready: Option<String>,
    /// How long to wait for the page to load, and then for the ranking to be complete, in seconds.
    pub ranking_wait_seconds: u64,
}

impl Default for RankingSettings {
    fn default() -> Self {
        Self {
            ranking_webdriver: None,
            ranking_rows: "table tbody tr".to_owned(),
            ranking_link: "a[href]".to_owned(),
            ranking_ready: None,
            ranking_wait_seconds: 30,
        }
    }
}

impl RankingSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if let Some(url) = &self.ranking_webdriver {
            let is_plain = url.username().is_empty() && url.password().is_none();
            if url.scheme() != "http" || url.host().is_none() || !is_plain {
                let want = "an http URL such as http://127.0.0.1:9515, without user and password";
                return fail("ranking_webdriver", &secret::hide_password(url), want);
            }
        }
        for (key, selector) in [("ranking_rows", &self.ranking_rows), ("ranking_link", &self.ranking_link)] {
            if selector.trim().is_empty() {
                return fail(key, selector, "a CSS selector");
            }
        }
        if !(1..=600).contains(&self.ranking_wait_seconds) {
            return fail("ranking_wait_seconds", &self.ranking_wait_seconds, "between 1 and 600");
        }
        Ok(())
    }

    #[must_use]
    pub fn ranking_wait(&self) -> Duration {
        Duration::from_secs(self.ranking_wait_seconds)
    }
}
