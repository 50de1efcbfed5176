//! Makes the requests of one command to one host, under its `robots.txt` and the rate limit for pages.
//!
//! The rate limit is not shared with the fleet: the fleet sends no requests to a ranking's host, and a ranking is a
//! handful of pages.

use std::time::Duration;

use common::{config::Settings, store::RobotsFile};
use reqwest::{Method, Request};
use tokio::time::Instant;
use url::Url;

use super::{
    public_client::{self, GuardedClient, MAX_REDIRECTS},
    response::{Response, WebError},
    robots, robots_txt,
};

/// Limit on the request for `robots.txt`.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Largest `robots.txt`.
const MAX_BYTES: u64 = 16 << 20;

pub(crate) struct CommandClient {
    client: GuardedClient,
    /// Minimum time between two requests.
    interval: Duration,
    last: Option<Instant>,
    file: Option<RobotsFile>,
}

impl CommandClient {
    pub(crate) fn new(settings: &Settings) -> Self {
        let user_agent = public_client::user_agent(settings.crawl.crawl_contact.as_ref());
        Self {
            client: GuardedClient::new(&settings.images.fetch_allow, &user_agent, TIMEOUT),
            interval: Duration::from_secs_f64(1.0 / settings.crawl.crawl_web_per_second),
            last: None,
            file: None,
        }
    }

    /// Fetches `robots.txt` of the host once and checks `url` against it.
    pub(crate) async fn admit(&mut self, url: &Url) -> Result<(), String> {
        self.client.check(url).map_err(|error| error.to_string())?;
        if self.file.is_none() {
            let unavailable = |why| format!("robots.txt of the host is unavailable ({why}); try again later");
            let robots_url = robots_txt::url_of(url).map_err(unavailable)?;
            match robots::from_response(self.fetch(robots_url).await) {
                Ok(RobotsFile::Unreachable(why)) => return Err(unavailable(why)),
                Ok(file) => self.file = Some(file),
                Err(error) => return Err(unavailable(error.to_string())),
            }
        }
        self.interval = self.interval.max(self.check(url)?);
        Ok(())
    }

    /// Checks another page of the same host. Returns the host's crawl delay.
    pub(crate) fn check(&self, url: &Url) -> Result<Duration, String> {
        let allowed = self.file.as_ref().map(|file| robots::check(file, url));
        allowed.unwrap_or(Ok(Duration::ZERO)).map_err(|error| error.to_string())
    }

    async fn fetch(&mut self, mut url: Url) -> Result<Response, WebError> {
        for _ in 0..=MAX_REDIRECTS {
            self.wait_for_rate_limit().await;
            let response = self.client.send(Request::new(Method::GET, url.clone())).await?;
            if let Some(target) = public_client::redirect(&response)? {
                url = target;
                continue;
            }
            let mut read = Response::from_head(&url, &response);
            if read.is_success() {
                read.bytes = public_client::read(response, MAX_BYTES).await?;
            }
            return Ok(read);
        }
        Err(WebError::Malformed(format!("more than {MAX_REDIRECTS} redirects, the last to {url}")))
    }

    /// Waits until the next request may start.
    pub(crate) async fn wait_for_rate_limit(&mut self) {
        if let Some(last) = self.last {
            tokio::time::sleep_until(last + self.interval).await;
        }
        self.last = Some(Instant::now());
    }
}
