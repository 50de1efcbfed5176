//! How a browser reads rankings of channels.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    error::{ConfigError, fail},
    secret,
};

/// The browser that reads rankings, and what their pages look like.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct RankingSettings {
    /// A WebDriver of Chromium that runs already, as an http URL; rankings are read with it. Default: none, and
    /// then `chromedriver` is started while it is needed.
    pub ranking_webdriver: Option<Url>,
    /// CSS selector of the rows of a ranking, in the order of their ranks. Default `table tbody tr`.
    pub ranking_rows: String,
    /// CSS selector of the links of such a row; the first that names a channel counts. Default `a[href]`.
    pub ranking_link: String,
    /// CSS selector of what is there once a ranking is complete. Default: none, and then a ranking is complete
    /// when it has had rows, and the same number of them, for a second.
    pub ranking_ready: Option<String>,
    /// How long a ranking may take to load, and then to be complete, in seconds. Default 30.
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

    /// How long a ranking may take to load, and then to be complete.
    #[must_use]
    pub fn ranking_wait(&self) -> Duration {
        Duration::from_secs(self.ranking_wait_seconds)
    }
}
