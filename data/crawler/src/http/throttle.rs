//! Detects from the response headers that a host throttles or blocks requests.
//!
//! Bodies are ignored: a page that merely mentions a captcha must not stop the fleet.

use std::time::{Duration, SystemTime};

use reqwest::{
    Response, StatusCode,
    header::{DATE, HeaderMap, HeaderName, RETRY_AFTER},
};
use url::Url;

use super::{HostKind, public_client};

/// Longest `Retry-After` to wait for; a longer one starts a back-off.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Longest back-off that a `Retry-After` can set.
const MAX_BACKOFF: Duration = Duration::from_secs(24 * 3600);

#[derive(PartialEq, Eq, Debug)]
pub(super) enum Throttle {
    /// Wait for the short time that the host requests.
    RetryAfter { delay: Duration, message: String },
    /// Back off for the configured time, but for `at_least` this long.
    BackOff { at_least: Duration, message: String },
}

pub(super) fn detect(kind: HostKind, response: &Response) -> Option<Throttle> {
    match response.status() {
        status @ (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => {
            too_many(status, retry_after(response.headers(), SystemTime::now()))
        }
        status if status.is_redirection() && kind == HostKind::Web => {
            block_page(&public_client::redirect(response).ok().flatten()?)
        }
        _ => None,
    }
}

fn too_many(status: StatusCode, after: Option<Duration>) -> Option<Throttle> {
    match after {
        Some(delay) => {
            let message = format!("the host returned {status} with Retry-After: {} s", delay.as_secs());
            Some(if delay <= MAX_RETRY_AFTER {
                Throttle::RetryAfter { delay, message }
            } else {
                Throttle::BackOff { at_least: delay.min(MAX_BACKOFF), message }
            })
        }
        // Without Retry-After, a 503 is a server error and not a reaction to the request rate.
        None if status == StatusCode::SERVICE_UNAVAILABLE => None,
        None => {
            let message = format!("the host returned {status}");
            Some(Throttle::BackOff { at_least: Duration::ZERO, message })
        }
    }
}

/// Recognises redirects to YouTube's consent page and to Google's captcha.
fn block_page(target: &Url) -> Option<Throttle> {
    let back_off =
        |message: &str| Some(Throttle::BackOff { at_least: Duration::ZERO, message: message.to_owned() });
    let host = target.host_str().unwrap_or_default();
    if host.starts_with("consent.") {
        back_off("the host redirects to a consent page")
    } else if target.path().starts_with("/sorry/") {
        back_off("the host redirects to a captcha")
    } else {
        None
    }
}

/// Reads `Retry-After`, in seconds or as a date (RFC 9110, 10.2.3). A date is relative to the response's `Date`, so
/// that this machine's clock does not matter.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let after = text(RETRY_AFTER)?;
    if after.bytes().all(|byte| byte.is_ascii_digit()) && !after.is_empty() {
        // The digits may overflow.
        return Some(Duration::from_secs(after.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(after).ok()?;
    let now = text(DATE).and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Wed, 25 Nov 2026 12:00:00 GMT").unwrap();
        let check = |after: &str, date: Option<&str>, want: Option<u64>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(after).unwrap());
            if let Some(date) = date {
                headers.insert(DATE, HeaderValue::from_str(date).unwrap());
            }
            assert_eq!(retry_after(&headers, now), want.map(Duration::from_secs), "{after}");
        };
        check("120", None, Some(120));
        check(" 0 ", None, Some(0));
        check("99999999999999999999999", None, Some(u64::MAX));
        check("Wed, 25 Nov 2026 12:00:30 GMT", None, Some(30));
        check("Wed, 25 Nov 2026 12:00:30 GMT", Some("Wed, 25 Nov 2026 12:00:10 GMT"), Some(20));
        check("Wed, 25 Nov 2026 11:00:00 GMT", None, Some(0));
        for nonsense in ["", "-1", "soon", "1.5"] {
            check(nonsense, None, None);
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn short_delays_are_waited_for_and_longer_ones_start_a_backoff() {
        let (many, unavailable) = (StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE);
        let seconds = Duration::from_secs;
        let at_least = |status, after| match too_many(status, after) {
            Some(Throttle::BackOff { at_least, .. }) => Some(at_least),
            _ => None,
        };
        for status in [many, unavailable] {
            assert!(matches!(
                too_many(status, Some(seconds(60))),
                Some(Throttle::RetryAfter { delay, .. }) if delay == seconds(60)
            ));
            assert_eq!(at_least(status, Some(seconds(61))), Some(seconds(61)));
            assert_eq!(at_least(status, Some(Duration::MAX)), Some(MAX_BACKOFF));
        }
        assert_eq!(at_least(many, None), Some(Duration::ZERO));
        assert_eq!(too_many(unavailable, None), None);
    }

    #[test]
    fn consent_and_captcha_redirects_are_recognised() {
        let is_block_page = |url: &str| block_page(&Url::parse(url).unwrap()).is_some();
        assert!(is_block_page("https://consent.youtube.com/m?continue=https%3A%2F%2Fwww.youtube.com%2F"));
        assert!(is_block_page("https://www.google.com/sorry/index?continue=x"));
        assert!(!is_block_page("https://www.youtube.com/@consent"));
        assert!(!is_block_page("https://www.youtube.com/channel/UCsorry"));
    }
}
