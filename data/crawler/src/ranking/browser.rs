//! Opens a browser session to read rankings, through a new `chromedriver` or a running WebDriver.
//!
//! Owns the browser's capabilities. Invariant: the session is closed, also after an error or Ctrl-C.

use std::{os::unix::fs::MetadataExt, path::Path};

use common::config::{CrawlSettings, Settings};
use fantoccini::wd::Capabilities;
use serde_json::json;
use url::Url;

use super::{driver::Driver, error::RankingError, session::BrowserSession};
use crate::http::user_agent;

/// Limit on loading a document and on one script. The page's own scripts may take as long as the settings say.
const LOAD_TIMEOUT_MS: u32 = 20_000;

/// Runs `work` with an open browser, which is closed also if the work fails or the user interrupts it.
pub(super) async fn with_browser<T>(
    settings: &Settings,
    work: impl AsyncFnOnce(&BrowserSession) -> Result<T, RankingError>,
) -> Result<T, RankingError> {
    let (driver, url) = match &settings.ranking.ranking_webdriver {
        Some(url) => (None, url.clone()),
        None => {
            let driver = or_interrupted(Driver::start()).await?;
            let url = driver.url.clone();
            (Some(driver), url)
        }
    };
    let done = in_session(settings, &url, driver.as_ref(), work).await;
    if let Some(driver) = driver {
        driver.stop().await;
    }
    done
}

async fn in_session<T>(
    settings: &Settings,
    url: &Url,
    driver: Option<&Driver>,
    work: impl AsyncFnOnce(&BrowserSession) -> Result<T, RankingError>,
) -> Result<T, RankingError> {
    let profile = driver.map(Driver::profile);
    let capabilities = capabilities(&settings.crawl, profile.as_deref(), is_root());
    let open = async {
        let opened = BrowserSession::open(url, &capabilities, settings.ranking.ranking_wait()).await;
        opened.map_err(|error| {
            let hint = if driver.is_some() {
                "check that chromium and chromedriver have the same version and that the sandbox is permitted"
            } else {
                "SUBWATCH_RANKING_WEBDRIVER must be the URL of a running WebDriver for Chromium"
            };
            RankingError::Failed(format!("could not open a browser: {error}; {hint}"))
        })
    };
    let session = or_interrupted(open).await?;
    let done = or_interrupted(work(&session)).await;
    session.close().await;
    done
}

/// Runs `work` until Ctrl-C.
async fn or_interrupted<T>(work: impl Future<Output = Result<T, RankingError>>) -> Result<T, RankingError> {
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => {
            Err(RankingError::Interrupted)
        }
    }
}

/// The capabilities to request. Without a `profile`, the driver creates one for the session.
fn capabilities(settings: &CrawlSettings, profile: Option<&str>, is_root: bool) -> Capabilities {
    let user_agent = user_agent(settings.crawl_contact.as_ref());
    let mut arguments = vec![
        "--headless=new".to_owned(),
        format!("--user-agent={user_agent}"),
        // /dev/shm is too small for a browser in most containers.
        "--disable-dev-shm-usage".to_owned(),
    ];
    if let Some(profile) = profile {
        arguments.push(format!("--user-data-dir={profile}"));
        if is_root {
            // Chromium refuses to run as root with its sandbox.
            arguments.push("--no-sandbox".to_owned());
        }
    }
    let capabilities = json!({
        "browserName": "chrome",
        // The table is polled for, so images and trackers need not load first.
        "pageLoadStrategy": "eager",
        "timeouts": {"pageLoad": LOAD_TIMEOUT_MS, "script": LOAD_TIMEOUT_MS},
        "unhandledPromptBehavior": "dismiss",
        "goog:chromeOptions": {
            "args": arguments,
            "prefs": {"profile.managed_default_content_settings.images": 2},
        },
    });
    serde_json::from_value(capabilities).expect("the JSON is an object")
}

/// Whether this process runs as root: `/proc/self` belongs to the effective user.
fn is_root() -> bool {
    Path::new("/proc/self").metadata().is_ok_and(|process| process.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(profile: Option<&str>, is_root: bool) -> Vec<String> {
        let contact = Url::parse("https://example.org/crawler").ok();
        let settings = CrawlSettings { crawl_contact: contact, ..CrawlSettings::default() };
        let capabilities = capabilities(&settings, profile, is_root);
        serde_json::from_value(capabilities["goog:chromeOptions"]["args"].clone()).unwrap()
    }

    #[test]
    fn sandbox_is_disabled_only_for_root_and_a_new_browser() {
        let is_disabled = |profile, is_root| arguments(profile, is_root).contains(&"--no-sandbox".to_owned());
        assert!(is_disabled(Some("/tmp/x"), true));
        assert!(!is_disabled(Some("/tmp/x"), false));
        assert!(!is_disabled(None, true));
    }

    #[test]
    fn browser_sends_the_crawlers_user_agent() {
        let arguments = arguments(Some("/tmp/x"), false);
        let version = env!("CARGO_PKG_VERSION");
        let agent = format!("--user-agent=subwatch/{version} (+https://example.org/crawler)");
        assert!(arguments.contains(&agent) && arguments.contains(&"--user-data-dir=/tmp/x".to_owned()));
    }
}
