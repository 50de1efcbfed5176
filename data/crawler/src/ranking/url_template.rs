//! URL templates of rankings, with a placeholder for the category.
//!
//! Invariant: a category becomes data within the path or the query, so all rankings have the same host.

use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::{ParseError, Url};

const PLACEHOLDER: &str = "{category}";
const NOT_HTTP: &str = "the URL must start with http:// or https://";

/// Escapes everything but unreserved characters (RFC 3986, 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A URL with a placeholder for the category.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UrlTemplate(String);

impl UrlTemplate {
    /// Returns the URL of a category's ranking.
    pub(super) fn url(&self, category: &str) -> Result<Url, String> {
        // URLs resolve dot segments even if they are escaped.
        if [".", ".."].contains(&category) {
            return Err(format!("the category '{category}' cannot be part of a URL"));
        }
        let escaped = utf8_percent_encode(category, ESCAPED).to_string();
        Url::parse(&self.0.replace(PLACEHOLDER, &escaped)).map_err(|error| match error {
            ParseError::RelativeUrlWithoutBase => NOT_HTTP.to_owned(),
            error => format!("'{}': {error}", self.0),
        })
    }

    /// The host of all rankings.
    pub(super) fn host(&self) -> String {
        let url = self.url("a").ok();
        url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }
}

impl FromStr for UrlTemplate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains(PLACEHOLDER) {
            return Err(format!("the URL must contain {PLACEHOLDER}"));
        }
        let template = Self(text.to_owned());
        let (one, other) = (template.url("a")?, template.url("b")?);
        if !["http", "https"].contains(&one.scheme()) || one.host().is_none() {
            return Err(NOT_HTTP.to_owned());
        }
        if !one.username().is_empty() || one.password().is_some() {
            return Err("the URL must not contain credentials".to_owned());
        }
        if one.origin() != other.origin() || one.fragment() != other.fragment() {
            return Err(format!("{PLACEHOLDER} must be in the path or the query of the URL"));
        }
        Ok(template)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn category_is_escaped() {
        let check = |template: &str, category: &str, want: &str| {
            let url = template.parse::<UrlTemplate>().unwrap().url(category).unwrap();
            assert_eq!(url.as_str(), want);
        };
        let path = "https://example.org/top/{category}/all";
        check(path, "games", "https://example.org/top/games/all");
        check(path, "먹방", "https://example.org/top/%EB%A8%B9%EB%B0%A9/all");
        check(path, "a/../b ?c#d&%", "https://example.org/top/a%2F..%2Fb%20%3Fc%23d%26%25/all");
        check("http://example.org:81/?of={category}&page=1", "a&b", "http://example.org:81/?of=a%26b&page=1");
    }

    #[test]
    fn invalid_templates_are_rejected_with_a_reason() {
        let check = |template: &str, want: &str| {
            let error = template.parse::<UrlTemplate>().unwrap_err();
            assert!(error.contains(want), "{template}: {error}");
        };
        check("https://example.org/top", "must contain {category}");
        check("ftp://example.org/{category}", "http:// or https://");
        check("file:///{category}", "http:// or https://");
        check("https://me:secret@example.org/{category}", "credentials");
        check("https://{category}.example.org/", "in the path or the query");
        check("https://example.org/#{category}", "in the path or the query");
        check("example.org/{category}", "http:// or https://");
        let template: UrlTemplate = "https://example.org/a/{category}".parse().unwrap();
        assert!(template.url("..").is_err() && template.url(".").is_err() && template.url("...").is_ok());
    }
}
