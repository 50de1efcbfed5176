//! Requests and responses, independent of the network.

use bytes::Bytes;
use hyper::Method;
use serde_json::Value;

/// A host of the real world, by which requests are counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Host {
    /// `www.youtube.com`: pages and InnerTube.
    Web,
    /// `www.googleapis.com`: the Data API.
    Api,
    /// `i.ytimg.com`.
    Images,
    /// The ranking site.
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

#[derive(Clone, Debug)]
pub(super) struct SiteRequest {
    pub(super) method: Method,
    /// Unescaped, without the query.
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    /// `If-None-Match` header.
    pub(super) known: Option<String>,
    /// `User-Agent` header.
    pub(super) agent: String,
    pub(super) body: Bytes,
}

impl SiteRequest {
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns the body as JSON, or null if it is invalid.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

#[derive(Clone, Debug)]
pub(super) struct SiteResponse {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
}

impl SiteResponse {
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

    /// Adds an ETag; becomes a 304 if it matches `If-None-Match`.
    pub(super) fn tagged(mut self, tag: &str, request: &SiteRequest) -> Self {
        let tag = format!("\"{tag}\"");
        let is_known = request.known.as_deref().is_some_and(|known| {
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
    fn matching_etag_returns_304() {
        let check = |known: Option<&str>, status| {
            let request = SiteRequest {
                method: Method::GET,
                path: String::new(),
                query: Vec::new(),
                known: known.map(str::to_owned),
                agent: String::new(),
                body: Bytes::new(),
            };
            let answer = SiteResponse::jpeg(200, "picture").tagged("a1", &request);
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
