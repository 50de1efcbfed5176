//! `robots.txt`: what a site lets readers like us see (RFC 9309).
//!
//! Owns for how long a copy applies; the store keeps the copies for the whole fleet, so that a file is fetched
//! about once a day. A file is fetched with the manners of any other page. Does not own what it says.

use std::time::Duration;

use common::store::RobotsFile;
use reqwest::Url;

use super::{Ask, HostKind, Purpose, Web, WebError, robots_txt as robots};

/// How long a copy applies.
const FRESH: Duration = Duration::from_secs(24 * 3600);
/// How long a site that does not say is not asked again.
const UNREACHABLE: Duration = Duration::from_secs(60);
/// Pause before looking whether another worker has fetched the file.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

impl Web {
    /// Checks that `url` may be asked for. Returns the least time between requests that its host wants.
    pub(super) async fn check_robots(&self, url: &Url) -> Result<Duration, WebError> {
        match self.robots_file(url).await? {
            RobotsFile::None => Ok(Duration::ZERO),
            RobotsFile::Unreachable(why) => Err(WebError::Retryable(format!(
                "{url} is not asked for: its host does not say what may be ({why})"
            ))),
            RobotsFile::Rules(text) => robots::check(&text, url).map_err(WebError::Refused),
        }
    }

    async fn robots_file(&self, url: &Url) -> Result<RobotsFile, WebError> {
        let (store, origin) = (&self.inner.store, url.origin().ascii_serialization());
        loop {
            let claimed = store.claim_robots(&origin).await?;
            // Looked for after the claim: whoever held it before may just have put it there.
            match store.robots(&origin).await? {
                Some(file) if claimed => {
                    store.give_back_robots(&origin).await?;
                    return Ok(file);
                }
                Some(file) => return Ok(file),
                None if claimed => break,
                None => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
        let fetched = self.fetch_robots(url).await;
        let Ok(file) = fetched else {
            store.give_back_robots(&origin).await?;
            return fetched;
        };
        let ttl = if matches!(file, RobotsFile::Unreachable(_)) { UNREACHABLE } else { FRESH };
        store.put_robots(&origin, &file, ttl).await?;
        Ok(file)
    }

    async fn fetch_robots(&self, url: &Url) -> Result<RobotsFile, WebError> {
        let url = robots::url_of(url).map_err(WebError::Refused)?;
        let ask = Ask { kind: HostKind::Web, purpose: Purpose::Robots, body: None, etag: None };
        match Box::pin(self.follow(&ask, &url)).await {
            Ok(answer) if answer.is_success() => Ok(RobotsFile::Rules(robots::text_of(&answer.bytes))),
            Ok(_) | Err(WebError::NotFound(_) | WebError::Gone(_)) => Ok(RobotsFile::None),
            Err(error @ (WebError::Paused { .. } | WebError::Store(_))) => Err(error),
            Err(error) => Ok(RobotsFile::Unreachable(error.to_string())),
        }
    }
}
