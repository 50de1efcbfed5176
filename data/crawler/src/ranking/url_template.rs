//! Where rankings lie: a URL with a place for the category.
//!
//! Owns how a category gets into a URL. Invariant: whatever its name, it is data within the path or the query,
//! and every ranking lies at the same host.

use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

/// Where the category stands.
const PLACE: &str = "{category}";
/// What is escaped: all but what no URL gives a meaning to (RFC 3986, 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A URL with a place for the category.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address(String);

impl Address {
    /// Returns the URL of a category's ranking.
    ///
    /// # Errors
    /// When the name would be read as a step within the path.
    pub(super) fn of(&self, category: &str) -> Result<Url, String> {
        // URLs take these for steps even when they are escaped.
        if [".", ".."].contains(&category) {
            return Err(format!("'{category}' is no name of a category that a URL can hold"));
        }
        let escaped = utf8_percent_encode(category, ESCAPED).to_string();
        Url::parse(&self.0.replace(PLACE, &escaped)).map_err(|error| format!("'{}': {error}", self.0))
    }

    /// The host that all of them lie at.
    pub(super) fn host(&self) -> String {
        let url = self.of("a").ok();
        url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains(PLACE) {
            return Err(format!("it has no {PLACE}, which says where the name of a category belongs"));
        }
        let address = Self(text.to_owned());
        let (one, other) = (address.of("a")?, address.of("b")?);
        if !["http", "https"].contains(&one.scheme()) || one.host().is_none() {
            return Err("it must be an http or https URL".to_owned());
        }
        if !one.username().is_empty() || one.password().is_some() {
            return Err("a URL with credentials is not read".to_owned());
        }
        if one.origin() != other.origin() || one.fragment() != other.fragment() {
            return Err(format!("{PLACE} must stand in its path or in its query"));
        }
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_is_escaped_into_its_place() {
        let check = |address: &str, category: &str, want: &str| {
            let url = address.parse::<Address>().unwrap().of(category).unwrap();
            assert_eq!(url.as_str(), want);
        };
        let path = "https://example.org/top/{category}/all";
        check(path, "games", "https://example.org/top/games/all");
        check(path, "먹방", "https://example.org/top/%EB%A8%B9%EB%B0%A9/all");
        check(path, "a/../b ?c#d&%", "https://example.org/top/a%2F..%2Fb%20%3Fc%23d%26%25/all");
        check("http://example.org:81/?of={category}&page=1", "a&b", "http://example.org:81/?of=a%26b&page=1");
    }

    #[test]
    fn what_is_no_address_of_rankings_says_why() {
        let check = |address: &str, want: &str| {
            let error = address.parse::<Address>().unwrap_err();
            assert!(error.contains(want), "{address}: {error}");
        };
        check("https://example.org/top", "it has no {category}");
        check("ftp://example.org/{category}", "http or https");
        check("file:///{category}", "http or https");
        check("https://me:secret@example.org/{category}", "credentials");
        check("https://{category}.example.org/", "in its path or in its query");
        check("https://example.org/#{category}", "in its path or in its query");
        check("example.org/{category}", "relative URL");
        let address: Address = "https://example.org/a/{category}".parse().unwrap();
        assert!(address.of("..").is_err() && address.of(".").is_err() && address.of("...").is_ok());
    }
}
