//! Evaluates the rules of a `robots.txt` (RFC 9309). Fetching and caching are in [`robots`](super::robots).

use std::time::Duration;

use robotxt::{BYTE_LIMIT, Robots};
use url::Url;

/// This crawler's name in `User-agent` lines.
const PRODUCT_TOKEN: &str = "subwatch";
/// Longest `Crawl-delay` obeyed: a longer one would stop the crawl.
const MAX_CRAWL_DELAY: Duration = Duration::from_secs(60);

/// Returns the URL of the `robots.txt` that applies to `url`.
pub(super) fn url_of(url: &Url) -> Result<Url, String> {
    robotxt::robots_url(url).map_err(|error| format!("{url}: {error}"))
}

/// Decodes a file up to the parser's size limit.
#[must_use]
pub(super) fn text_of(bytes: &[u8]) -> String {
    // One extra byte tells the parser that the last line is truncated.
    String::from_utf8_lossy(&bytes[..bytes.len().min(BYTE_LIMIT + 1)]).into_owned()
}

/// Checks that `text` allows `url`. Returns the crawl delay, or an error that names the rule.
pub(super) fn check(text: &str, url: &Url) -> Result<Duration, String> {
    let rules = Robots::parse(text.as_bytes(), PRODUCT_TOKEN);
    if rules.is_url_allowed(url) {
        return Ok(rules.crawl_delay().unwrap_or_default().min(MAX_CRAWL_DELAY));
    }
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let rule = rules.matching_rule(path).map(robotxt::Rule::pattern).unwrap_or_default();
    Err(format!(
        "{url} is disallowed: robots.txt of the host has 'Disallow: {rule}' for user agent {}",
        rules.user_agent()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_the_matching_group_apply() {
        let text =
            "User-agent: *\nDisallow: /private/\nCrawl-delay: 2\n\nUser-agent: subwatch\nDisallow: /no/\n";
        let at = |path: &str| check(text, &Url::parse("https://example.org").unwrap().join(path).unwrap());
        assert_eq!(at("/private/a"), Ok(Duration::ZERO), "the group for subwatch replaces the one for *");
        assert_eq!(
            at("/no/a?b").unwrap_err(),
            "https://example.org/no/a?b is disallowed: robots.txt of the host has 'Disallow: /no/' for user agent \
             subwatch"
        );
        let slow = |delay| {
            let text = format!("User-agent: *\nCrawl-delay: {delay}\n");
            check(&text, &Url::parse("https://example.org/").unwrap())
        };
        assert_eq!(slow("2"), Ok(Duration::from_secs(2)));
        assert_eq!(slow("86400"), Ok(MAX_CRAWL_DELAY));
    }

    #[test]
    fn robots_txt_is_at_the_root_of_the_host() {
        let url = Url::parse("http://example.org:81/a/b?c#d").unwrap();
        assert_eq!(url_of(&url).unwrap().as_str(), "http://example.org:81/robots.txt");
    }
}
