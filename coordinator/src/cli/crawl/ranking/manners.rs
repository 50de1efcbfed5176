//! How rankings are asked for: as their host's `robots.txt` allows, and no faster than any other page.
//!
//! Owns the pace and the file of one command. Does not own the fleet's: a ranking lies at a host that the fleet
//! does not ask, and is a handful of pages.

use std::time::Duration;

use common::config::Settings;
use crawler::http::{
    guarded as fetch,
    guarded::{Client, FetchError, REDIRECTS},
    robots_txt as robots,
};
use reqwest::{Method, Request, StatusCode};
use tokio::time::Instant;
use url::Url;

/// How long a request for a `robots.txt` may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Largest `robots.txt`.
const LARGEST: u64 = 16 << 20;

/// What a host's file says.
enum File {
    None,
    Rules(String),
}

/// The manners of one command towards one host.
pub(super) struct Manners {
    client: Client,
    /// Least time between one request and the next.
    interval: Duration,
    last: Option<Instant>,
    file: Option<File>,
}

impl Manners {
    pub(super) fn new(settings: &Settings) -> Self {
        let user_agent = fetch::user_agent(settings.crawl.crawl_contact.as_ref());
        Self {
            client: Client::new(&settings.images.fetch_allow, &user_agent, LIMIT),
            interval: Duration::from_secs_f64(1.0 / settings.crawl.crawl_web_per_second),
            last: None,
            file: None,
        }
    }

    /// Finds out whether `url` may be asked for.
    ///
    /// # Errors
    /// When it may not, or its host does not say.
    pub(super) async fn admit(&mut self, url: &Url) -> Result<(), String> {
        self.client.check(url).map_err(|error| error.to_string())?;
        if self.file.is_none() {
            let silent = |why| format!("its host does not say what may be read ({why}): try again later");
            self.file = Some(self.fetch(url).await.map_err(silent)?);
        }
        self.interval = self.interval.max(self.check(url)?);
        Ok(())
    }

    /// Checks a page of the same host. Returns the least time between requests that the host wants.
    pub(super) fn check(&self, url: &Url) -> Result<Duration, String> {
        match &self.file {
            Some(File::Rules(text)) => robots::check(text, url),
            Some(File::None) | None => Ok(Duration::ZERO),
        }
    }

    async fn fetch(&mut self, url: &Url) -> Result<File, String> {
        let mut url = robots::url_of(url)?;
        let said = |error: FetchError| error.to_string();
        for _ in 0..=REDIRECTS {
            self.turn().await;
            let answer = self.client.send(Request::new(Method::GET, url.clone())).await.map_err(said)?;
            if let Some(target) = fetch::redirect(&answer).map_err(said)? {
                url = target;
                continue;
            }
            return match answer.status() {
                status if status.is_success() => {
                    let bytes = fetch::read(answer, LARGEST).await.map_err(said)?;
                    Ok(File::Rules(robots::text_of(&bytes)))
                }
                // Who refuses to say for now has not said that everything may be read (RFC 9309, 2.3.1.3).
                status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                    Ok(File::None)
                }
                status => Err(format!("{url} answers {status}")),
            };
        }
        Err(format!("{url} is the last of more than {REDIRECTS} redirects"))
    }

    /// Waits until the next request may start, which is then.
    pub(super) async fn turn(&mut self) {
        if let Some(last) = self.last {
            tokio::time::sleep_until(last + self.interval).await;
        }
        self.last = Some(Instant::now());
    }
}
