//! Applies a host's `robots.txt` to requests (RFC 9309), and caches the file for the whole fleet.
//!
//! Does not own fetching, which is rate-limited like any other request, nor the syntax of the rules (see
//! [`robots_txt`](super::robots_txt)).

use std::time::Duration;

use common::store::{RobotsFile, Store};
use reqwest::StatusCode;
use url::Url;

use super::{Response, WebError, robots_txt as rules};

/// How long a copy is valid.
const TTL: Duration = Duration::from_secs(24 * 3600);
/// Time until an unreachable file is fetched again.
const UNREACHABLE_TTL: Duration = Duration::from_secs(60);
/// Interval of checks whether another worker has fetched the file.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Checks that `file` allows `url`. Returns the file's crawl delay.
pub(super) fn check(file: &RobotsFile, url: &Url) -> Result<Duration, WebError> {
    match file {
        RobotsFile::None => Ok(Duration::ZERO),
        RobotsFile::Unreachable(why) => {
            Err(WebError::Retryable(format!("{url} was not fetched: robots.txt is unavailable ({why})")))
        }
        RobotsFile::Rules(text) => rules::check(text, url).map_err(WebError::Refused),
    }
}

/// Returns the fleet's copy of the file for `url`. If there is no copy, one worker calls `fetch` and the others wait.
pub(super) async fn file(
    store: &Store,
    url: &Url,
    fetch: impl AsyncFnOnce(Url) -> Result<Response, WebError>,
) -> Result<RobotsFile, WebError> {
    let origin = url.origin().ascii_serialization();
    loop {
        let claimed = store.claim_robots(&origin).await?;
        // Read after claiming: the previous holder of the claim may just have stored the file.
        match store.robots(&origin).await? {
            Some(file) if claimed => {
                store.release_robots_claim(&origin).await?;
                return Ok(file);
            }
            Some(file) => return Ok(file),
            None if claimed => break,
            None => tokio::time::sleep(POLL_INTERVAL).await,
        }
    }
    let fetched = async {
        let url = rules::url_of(url).map_err(WebError::Refused)?;
        from_response(fetch(url).await)
    };
    let fetched = fetched.await;
    let Ok(file) = fetched else {
        store.release_robots_claim(&origin).await?;
        return fetched;
    };
    let ttl = if matches!(file, RobotsFile::Unreachable(_)) { UNREACHABLE_TTL } else { TTL };
    store.put_robots(&origin, &file, ttl).await?;
    Ok(file)
}

/// Interprets the response to a request for `robots.txt` (RFC 9309, 2.3.1). A 429 or 408 counts as unreachable, not
/// as a missing file that allows everything.
///
/// # Errors
/// When the request was not sent.
pub(super) fn from_response(response: Result<Response, WebError>) -> Result<RobotsFile, WebError> {
    let unreachable = |response: &Response| {
        RobotsFile::Unreachable(format!("{} returned {}", response.url, response.status()))
    };
    match response {
        Ok(response) if response.is_success() => Ok(RobotsFile::Rules(rules::text_of(&response.bytes))),
        Ok(response) => Ok(match response.status() {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => unreachable(&response),
            status if status.is_client_error() => RobotsFile::None,
            _ => unreachable(&response),
        }),
        Err(WebError::NotFound(_) | WebError::Gone(_)) => Ok(RobotsFile::None),
        Err(error @ (WebError::BackedOff { .. } | WebError::TimeSliceEnded | WebError::Store(_))) => {
            Err(error)
        }
        Err(error) => Ok(RobotsFile::Unreachable(error.to_string())),
    }
}
