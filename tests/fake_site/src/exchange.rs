//! What is asked and what is answered, without the network.
//!
//! Owns the words that the rest of the site speaks: a request that was read whole, and an answer that may be
//! changed before it leaves.

use bytes::Bytes;
use hyper::Method;
use serde_json::Value;

/// Whose requests are counted together; each stands for a host of the real site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Host {
    /// `www.youtube.com`: pages and the API that pages use.
    Web,
    /// `www.googleapis.com`: the Data API.
    Api,
    /// `i.ytimg.com`.
    Images,
    /// The site with rankings.
    Ranking,
}

impl Host {
    pub(super) fn of(path: &str) -> Self {
        if path.starts_with("/youtube/v3/") {
            Self::Api
        } else if path.starts_with("/vi/") {
            Self::Images
        } else if path.starts_with("/ranking/") {
            Self::Ranking
        } else {
            Self::Web
        }
    }
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    /// Without escapes and query.
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    /// The ETag that the client has.
    pub(super) known: Option<String>,
    /// Who the client says it is.
    pub(super) agent: String,
    pub(super) body: Bytes,
}

impl Asked {
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null where it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
}

impl Answer {
    fn new(status: u16, kind: &str, body: impl Into<Bytes>) -> Self {
        Self { status, headers: vec![("content-type", kind.to_owned())], body: body.into() }
    }

    pub(super) fn html(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(status, "text/html; charset=utf-8", body)
    }

    pub(super) fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(status, "application/json; charset=UTF-8", body)
    }

    pub(super) fn text(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(status, "text/plain", body)
    }

    pub(super) fn jpeg(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(status, "image/jpeg", body)
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Names the content, and leaves it out where the client has it.
    pub(super) fn tagged(mut self, tag: &str, asked: &Asked) -> Self {
        let tag = format!("\"{tag}\"");
        let is_known = asked.known.as_deref().is_some_and(|known| {
            known == "*" || known.split(',').any(|known| known.trim().trim_start_matches("W/") == tag)
        });
        if is_known && self.status == 200 {
            self.status = 304;
            self.headers.clear();
            self.body = Bytes::new();
        }
        self.with("etag", tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_that_the_client_has_is_left_out() {
        let check = |known: Option<&str>, status| {
            let asked = Asked {
                method: Method::GET,
                path: String::new(),
                query: Vec::new(),
                known: known.map(str::to_owned),
                agent: String::new(),
                body: Bytes::new(),
            };
            let answer = Answer::jpeg(200, "picture").tagged("a1", &asked);
            assert_eq!((answer.status, answer.body.is_empty()), (status, status == 304));
            assert!(answer.headers.contains(&("etag", "\"a1\"".to_owned())));
        };
        check(None, 200);
        check(Some("\"a2\""), 200);
        check(Some("\"a1\""), 304);
        check(Some("\"a0\", W/\"a1\""), 304);
        check(Some("*"), 304);
    }
}
