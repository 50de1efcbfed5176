//! The browser that rankings are read with: started for them, or one that runs already.
//!
//! Owns what it is told when it opens, and that it is closed whatever happens.

use std::{os::unix::fs::MetadataExt, path::Path};

use common::config::{CrawlSettings, Settings};
use fantoccini::wd::Capabilities;
use serde_json::json;
use url::Url;

use super::{driver::Driver, error::RankingError, session::BrowserSession};
use crate::http::user_agent;

/// How long a document may take to be there, and a look at it. What scripts make of it may take as long as the
/// settings say.
const LOAD_LIMIT_MS: u32 = 20_000;

/// Does `work` in a browser that is open for it and closed afterwards, also when the work fails or the user
/// interrupts it.
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
        driver.end().await;
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
    let asked = capabilities(&settings.crawl, profile.as_deref(), is_root());
    let open = async {
        let opened = BrowserSession::open(url, &asked, settings.ranking.ranking_wait()).await;
        opened.map_err(|error| {
            let hint = if driver.is_some() {
                "is chromium installed, in the version of chromedriver, and may it open a sandbox?"
            } else {
                "SUBWATCH_RANKING_WEBDRIVER must be the WebDriver of a Chromium that runs"
            };
            RankingError::Failed(format!("no browser opens: {error}; {hint}"))
        })
    };
    let session = or_interrupted(open).await?;
    let done = or_interrupted(work(&session)).await;
    session.close().await;
    done
}

/// Waits for `work`, unless the user interrupts it.
async fn or_interrupted<T>(work: impl Future<Output = Result<T, RankingError>>) -> Result<T, RankingError> {
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => {
            Err(RankingError::Interrupted)
        }
    }
}

/// What the browser is to be. Without a `profile` its driver makes one for the session.
fn capabilities(settings: &CrawlSettings, profile: Option<&str>, is_root: bool) -> Capabilities {
    let user_agent = user_agent(settings.crawl_contact.as_ref());
    let mut arguments = vec![
        "--headless=new".to_owned(),
        format!("--user-agent={user_agent}"),
        // What containers give as shared memory is too little for a browser.
        "--disable-dev-shm-usage".to_owned(),
    ];
    if let Some(profile) = profile {
        arguments.push(format!("--user-data-dir={profile}"));
        if is_root {
            // Chromium refuses to run as root inside its sandbox. The sandbox stays wherever it can be had.
            arguments.push("--no-sandbox".to_owned());
        }
    }
    let asked = json!({
        "browserName": "chrome",
        // What a script builds is waited for below; pictures and counters of visits need not load for that.
        "pageLoadStrategy": "eager",
        "timeouts": {"pageLoad": LOAD_LIMIT_MS, "script": LOAD_LIMIT_MS},
        "unhandledPromptBehavior": "dismiss",
        "goog:chromeOptions": {
            "args": arguments,
            "prefs": {"profile.managed_default_content_settings.images": 2},
        },
    });
    serde_json::from_value(asked).expect("it is an object")
}

/// Whether this process may do everything: its folder in `/proc` belongs to whom it runs as.
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
    fn the_sandbox_is_left_only_by_root_and_only_in_a_browser_of_our_own() {
        let leaves = |profile, is_root| arguments(profile, is_root).contains(&"--no-sandbox".to_owned());
        assert!(leaves(Some("/tmp/x"), true));
        assert!(!leaves(Some("/tmp/x"), false));
        assert!(!leaves(None, true));
    }

    #[test]
    fn the_browser_says_who_reads() {
        let arguments = arguments(Some("/tmp/x"), false);
        let version = env!("CARGO_PKG_VERSION");
        let agent = format!("--user-agent=subwatch/{version} (+https://example.org/crawler)");
        assert!(arguments.contains(&agent) && arguments.contains(&"--user-data-dir=/tmp/x".to_owned()));
    }
}
