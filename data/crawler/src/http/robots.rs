//! What a host's `robots.txt` means for a request: which answer counts as which file, for how long a copy applies, and
//! whether a URL may be requested (RFC 9309).
//!
//! The store keeps the copies for the whole fleet, so that a file is fetched about once a day. Does not own
//! fetching, which is rate-limited like any other request, nor the syntax of the rules (see
//! [`robots_txt`](super::robots_txt)).

use std::time::Duration;

use common::store::{RobotsFile, Store};
use reqwest::StatusCode;
use url::Url;

use super::{Answer, WebError, robots_txt as rules};

/// How long a copy applies.
const FRESH: Duration = Duration::from_secs(24 * 3600);
/// How long a site that does not say is not asked again.
const UNREACHABLE: Duration = Duration::from_secs(60);
/// Snooze before looking whether another worker has fetched the file.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Checks that `file`, of the host of `url`, lets us request it. Returns the least time between requests that the
/// host wants.
pub(super) fn check(file: &RobotsFile, url: &Url) -> Result<Duration, WebError> {
    match file {
        RobotsFile::None => Ok(Duration::ZERO),
        RobotsFile::Unreachable(why) => Err(WebError::Retryable(format!(
            "{url} is not asked for: its host does not say what may be ({why})"
        ))),
        RobotsFile::Rules(text) => rules::check(text, url).map_err(WebError::Refused),
    }
}

/// Returns the fleet's copy of the file that applies to `url`. Where there is none, one worker fetches it with `fetch`
/// and the others wait.
pub(super) async fn file(
    store: &Store,
    url: &Url,
    fetch: impl AsyncFnOnce(Url) -> Result<Answer, WebError>,
) -> Result<RobotsFile, WebError> {
    let origin = url.origin().ascii_serialization();
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
    let fetched = async {
        let url = rules::url_of(url).map_err(WebError::Refused)?;
        file_of(fetch(url).await)
    };
    let fetched = fetched.await;
    let Ok(file) = fetched else {
        store.give_back_robots(&origin).await?;
        return fetched;
    };
    let ttl = if matches!(file, RobotsFile::Unreachable(_)) { UNREACHABLE } else { FRESH };
    store.put_robots(&origin, &file, ttl).await?;
    Ok(file)
}

/// What the answer to a request for a `robots.txt` says (RFC 9309, 2.3.1). A host that refuses for now has not said that
/// everything may be read.
///
/// # Errors
/// When the host was not asked at all.
pub(super) fn file_of(answer: Result<Answer, WebError>) -> Result<RobotsFile, WebError> {
    let silent =
        |answer: &Answer| RobotsFile::Unreachable(format!("{} answers {}", answer.url, answer.status()));
    match answer {
        Ok(answer) if answer.is_success() => Ok(RobotsFile::Rules(rules::text_of(&answer.bytes))),
        Ok(answer) => Ok(match answer.status() {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => silent(&answer),
            status if status.is_client_error() => RobotsFile::None,
            _ => silent(&answer),
        }),
        Err(WebError::NotFound(_) | WebError::Gone(_)) => Ok(RobotsFile::None),
        Err(error @ (WebError::BackedOff { .. } | WebError::Store(_))) => Err(error),
        Err(error) => Ok(RobotsFile::Unreachable(error.to_string())),
    }
}
