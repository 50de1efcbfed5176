//! The rules of a `robots.txt`, as functions of its text (RFC 9309).
//!
//! Owns our name in these files, and what a file says about a URL. Does not own fetching one (see
//! [`robots`](super::robots)).

use std::time::Duration;

use robotxt::{BYTE_LIMIT, Robots};
use url::Url;

/// Our name in these files.
const NAME: &str = "subwatch";
/// Longest `Crawl-delay` that is kept: more would stop every crawl.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// Returns where the file lies that speaks about `url`.
///
/// # Errors
/// When `url` is none that a site answers.
pub(super) fn url_of(url: &Url) -> Result<Url, String> {
    robotxt::robots_url(url).map_err(|error| format!("{url}: {error}"))
}

/// Returns as much of a file as is heeded.
#[must_use]
pub(super) fn text_of(bytes: &[u8]) -> String {
    // One byte more, which tells the parser that a line was cut.
    String::from_utf8_lossy(&bytes[..bytes.len().min(BYTE_LIMIT + 1)]).into_owned()
}

/// Checks that a file with `text` lets us ask for `url`. Returns the least time between requests that it wants.
///
/// # Errors
/// When it does not, with the rule that says so.
pub(super) fn check(text: &str, url: &Url) -> Result<Duration, String> {
    let rules = Robots::parse(text.as_bytes(), NAME);
    if rules.is_url_allowed(url) {
        return Ok(rules.crawl_delay().unwrap_or_default().min(LONGEST_DELAY));
    }
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let rule = rules.matching_rule(path).map(robotxt::Rule::pattern).unwrap_or_default();
    Err(format!(
        "{url} may not be read: the robots.txt of its host disallows '{rule}' to {}",
        rules.user_agent()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_allows_forbids_and_delays() {
        let text =
            "User-agent: *\nDisallow: /private/\nCrawl-delay: 2\n\nUser-agent: subwatch\nDisallow: /no/\n";
        let at = |path: &str| check(text, &Url::parse("https://example.org").unwrap().join(path).unwrap());
        assert_eq!(at("/private/a"), Ok(Duration::ZERO), "a group of our own is the only one that counts");
        assert_eq!(
            at("/no/a?b").unwrap_err(),
            "https://example.org/no/a?b may not be read: the robots.txt of its host disallows '/no/' to subwatch"
        );
        let slow = |delay| {
            let text = format!("User-agent: *\nCrawl-delay: {delay}\n");
            check(&text, &Url::parse("https://example.org/").unwrap())
        };
        assert_eq!(slow("2"), Ok(Duration::from_secs(2)));
        assert_eq!(slow("86400"), Ok(LONGEST_DELAY));
    }

    #[test]
    fn the_file_lies_at_the_root_of_its_host() {
        let url = Url::parse("http://example.org:81/a/b?c#d").unwrap();
        assert_eq!(url_of(&url).unwrap().as_str(), "http://example.org:81/robots.txt");
    }
}
