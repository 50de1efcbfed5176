//! What the head of an answer says about our rate.
//!
//! Owns what counts as a host that has had enough of us. Bodies are not looked into: a page that merely
//! mentions a captcha must not stop the fleet.

use std::time::{Duration, SystemTime};

use reqwest::{
    Response, StatusCode,
    header::{DATE, HeaderMap, HeaderName, RETRY_AFTER},
};
use url::Url;

use super::{HostKind, public_client};

/// Longest time a host may ask to wait and still be waited for; for longer, it is paused.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Longest pause that a host can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// How a host refuses us.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// For a short time that it names.
    Wait {
        /// How long.
        time: Duration,
        /// What it said, as the end of a sentence about its URL.
        what: String,
    },
    /// It has had enough.
    Enough {
        /// How long it wants to be left alone at least.
        least: Duration,
        /// What it said, for people.
        what: String,
    },
}

/// Returns how an answer refuses us, if it does.
pub(super) fn of(kind: HostKind, answer: &Response) -> Option<Refusal> {
    match answer.status() {
        status @ (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => {
            too_many(status, retry_after(answer.headers(), SystemTime::now()))
        }
        status if status.is_redirection() && kind == HostKind::Web => {
            gate(&public_client::redirect(answer).ok().flatten()?)
        }
        _ => None,
    }
}

fn too_many(status: StatusCode, after: Option<Duration>) -> Option<Refusal> {
    match after {
        Some(time) if time <= LONGEST_WAIT => {
            Some(Refusal::Wait { time, what: format!("answers {status} and wants {time:?} without us") })
        }
        Some(time) => Some(Refusal::Enough {
            least: time.min(LONGEST_PAUSE),
            what: format!("it answers {status} and wants {time:?} without us"),
        }),
        // A server that is out of order says nothing about us.
        None if status == StatusCode::SERVICE_UNAVAILABLE => None,
        None => Some(Refusal::Enough { least: Duration::ZERO, what: format!("it answers {status}") }),
    }
}

/// What a redirect to a page for people alone says: YouTube's page of consent, and Google's captcha.
fn gate(target: &Url) -> Option<Refusal> {
    let enough = |what: &str| Some(Refusal::Enough { least: Duration::ZERO, what: what.to_owned() });
    let host = target.host_str().unwrap_or_default();
    if host.starts_with("consent.") {
        enough("it asks for consent before it shows anything")
    } else if target.path().starts_with("/sorry/") {
        enough("it asks for a captcha")
    } else {
        None
    }
}

/// How long from now `Retry-After` says, in seconds or as a date (RFC 9110, 10.2.3). A date is compared with
/// that of the answer, so that it does not matter what our clock says.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let after = text(RETRY_AFTER)?;
    if after.bytes().all(|sign| sign.is_ascii_digit()) && !after.is_empty() {
        // More digits than a number has are a long time.
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
    fn short_waits_are_waited_for_and_all_else_is_enough() {
        let (many, out_of_order) = (StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE);
        let seconds = Duration::from_secs;
        let least = |status, after| match too_many(status, after) {
            Some(Refusal::Enough { least, .. }) => Some(least),
            _ => None,
        };
        for status in [many, out_of_order] {
            assert!(
                matches!(too_many(status, Some(seconds(60))), Some(Refusal::Wait { time, .. }) if time == seconds(60))
            );
            assert_eq!(least(status, Some(seconds(61))), Some(seconds(61)));
            assert_eq!(least(status, Some(Duration::MAX)), Some(LONGEST_PAUSE));
        }
        assert_eq!(least(many, None), Some(Duration::ZERO));
        assert_eq!(too_many(out_of_order, None), None);
    }

    #[test]
    fn pages_for_people_alone_are_known() {
        let is_gate = |url: &str| gate(&Url::parse(url).unwrap()).is_some();
        assert!(is_gate("https://consent.youtube.com/m?continue=https%3A%2F%2Fwww.youtube.com%2F"));
        assert!(is_gate("https://www.google.com/sorry/index?continue=x"));
        assert!(!is_gate("https://www.youtube.com/@consent"));
        assert!(!is_gate("https://www.youtube.com/channel/UCsorry"));
    }
}
