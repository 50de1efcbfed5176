//! `robots.txt`: what a site lets readers like us see (RFC 9309).
//!
//! Owns whose rules apply and for how long a copy does; the store keeps the copies for the whole fleet, so
//! that a file is fetched about once a day. A file is fetched with the manners of any other page.

use std::time::Duration;

use common::store::RobotsFile;
use reqwest::Url;
use robotxt::{BYTE_LIMIT, Robots, robots_url};

use super::{Ask, HostKind, Purpose, Web, WebError};

/// Our name in these files.
const NAME: &str = "subwatch";
/// How long a copy applies.
const FRESH: Duration = Duration::from_secs(24 * 3600);
/// How long a site that does not say is not asked again.
const UNREACHABLE: Duration = Duration::from_secs(60);
/// Longest `Crawl-delay` that is kept: more would stop every crawl.
const LONGEST_DELAY: Duration = Duration::from_secs(60);
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
            RobotsFile::Rules(text) => {
                let rules = Robots::parse(text.as_bytes(), NAME);
                if rules.is_url_allowed(url) {
                    return Ok(rules.crawl_delay().unwrap_or_default().min(LONGEST_DELAY));
                }
                let rule = rules.matching_rule(path_of(url)).map(robotxt::Rule::pattern).unwrap_or_default();
                Err(WebError::Refused(format!(
                    "{url} may not be read: the robots.txt of its host disallows '{rule}' to {}",
                    rules.user_agent()
                )))
            }
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
        let url = robots_url(url).map_err(|error| WebError::Refused(format!("{url}: {error}")))?;
        let ask = Ask { kind: HostKind::Web, purpose: Purpose::Robots, body: None, etag: None };
        match Box::pin(self.follow(&ask, &url)).await {
            Ok(answer) if answer.is_success() => {
                // One byte more, which tells the parser that a line was cut.
                let bytes = &answer.bytes[..answer.bytes.len().min(BYTE_LIMIT + 1)];
                Ok(RobotsFile::Rules(String::from_utf8_lossy(bytes).into_owned()))
            }
            Ok(_) | Err(WebError::NotFound(_) | WebError::Gone(_)) => Ok(RobotsFile::None),
            Err(error @ (WebError::Paused { .. } | WebError::Store(_))) => Err(error),
            Err(error) => Ok(RobotsFile::Unreachable(error.to_string())),
        }
    }
}

fn path_of(url: &Url) -> &str {
    &url[url::Position::BeforePath..url::Position::AfterQuery]
}
