//! The requests of one command to one host: as its `robots.txt` allows, and no faster than any other page.
//!
//! Owns the pace and the file of that command, which are not shared with the fleet: a ranking is at a host that the fleet
//! does not ask, and is a handful of pages.

use std::time::Duration;

use common::{config::Settings, store::RobotsFile};
use reqwest::{Method, Request};
use tokio::time::Instant;
use url::Url;

use super::{
    answer::{Answer, WebError},
    public_client::{self, GuardedClient, REDIRECTS},
    robots, robots_txt,
};

/// How long a request for a `robots.txt` may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Largest `robots.txt`.
const LARGEST: u64 = 16 << 20;

/// The requests of one command to one host.
pub(crate) struct Visit {
    client: GuardedClient,
    /// Least time between one request and the next.
    interval: Duration,
    last: Option<Instant>,
    file: Option<RobotsFile>,
}

impl Visit {
    pub(crate) fn new(settings: &Settings) -> Self {
        let user_agent = public_client::user_agent(settings.crawl.crawl_contact.as_ref());
        Self {
            client: GuardedClient::new(&settings.images.fetch_allow, &user_agent, LIMIT),
            interval: Duration::from_secs_f64(1.0 / settings.crawl.crawl_web_per_second),
            last: None,
            file: None,
        }
    }

    /// Finds out whether `url` may be asked for.
    ///
    /// # Errors
    /// When it may not, or its host does not say.
    pub(crate) async fn admit(&mut self, url: &Url) -> Result<(), String> {
        self.client.check(url).map_err(|error| error.to_string())?;
        if self.file.is_none() {
            let silent = |why| format!("its host does not say what may be read ({why}): try again later");
            let robots_url = robots_txt::url_of(url).map_err(silent)?;
            match robots::file_of(self.fetch(robots_url).await) {
                Ok(RobotsFile::Unreachable(why)) => return Err(silent(why)),
                Ok(file) => self.file = Some(file),
                Err(error) => return Err(silent(error.to_string())),
            }
        }
        self.interval = self.interval.max(self.check(url)?);
        Ok(())
    }

    /// Checks a page of the same host. Returns the least time between requests that the host wants.
    ///
    /// # Errors
    /// When it may not be read.
    pub(crate) fn check(&self, url: &Url) -> Result<Duration, String> {
        let allowed = self.file.as_ref().map(|file| robots::check(file, url));
        allowed.unwrap_or(Ok(Duration::ZERO)).map_err(|error| error.to_string())
    }

    async fn fetch(&mut self, mut url: Url) -> Result<Answer, WebError> {
        for _ in 0..=REDIRECTS {
            self.turn().await;
            let answer = self.client.send(Request::new(Method::GET, url.clone())).await?;
            if let Some(target) = public_client::redirect(&answer)? {
                url = target;
                continue;
            }
            let mut read = Answer::of_head(&url, &answer);
            if read.is_success() {
                read.bytes = public_client::read(answer, LARGEST).await?;
            }
            return Ok(read);
        }
        Err(WebError::Malformed(format!("{url} is the last of more than {REDIRECTS} redirects")))
    }

    /// Waits until the next request may start, which is then.
    pub(crate) async fn turn(&mut self) {
        if let Some(last) = self.last {
            tokio::time::sleep_until(last + self.interval).await;
        }
        self.last = Some(Instant::now());
    }
}
