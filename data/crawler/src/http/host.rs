//! Kinds of hosts, and how each may be asked.

use std::time::Duration;

use common::{config::CrawlSettings, store::Limits};
use url::Url;

/// How long a place is kept for a request: longer than [`crate::http::LIMIT`], after which it has ended.
const LEASE: Duration = Duration::from_secs(60);
/// Largest page or answer of an API, unpacked.
const LARGEST_TEXT: u64 = 16 << 20;

/// What a host is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HostKind {
    /// Pages: as its `robots.txt` allows.
    Web,
    /// The Data API: with the key.
    Api {
        /// Units of the key's quota that the request costs.
        units: u32,
    },
    /// Thumbnails.
    Image,
}

/// How hosts may be asked, by kind.
pub(super) struct Hosts {
    web: Limits,
    api: Limits,
    image: Limits,
    max_image_bytes: u64,
}

impl Hosts {
    pub(super) fn new(settings: &CrawlSettings, max_image_bytes: u64) -> Self {
        let limits = |per_second: f64, concurrency| Limits {
            min_interval: Duration::from_secs_f64(1.0 / per_second),
            concurrency,
            lease: LEASE,
        };
        Self {
            web: limits(settings.crawl_web_per_second, settings.crawl_web_concurrency),
            api: limits(settings.crawl_api_per_second, settings.crawl_api_concurrency),
            image: limits(settings.crawl_image_per_second, settings.crawl_image_concurrency),
            max_image_bytes,
        }
    }

    pub(super) fn limits(&self, kind: HostKind) -> Limits {
        match kind {
            HostKind::Web => self.web,
            HostKind::Api { .. } => self.api,
            HostKind::Image => self.image,
        }
    }

    pub(super) fn max_bytes(&self, kind: HostKind) -> u64 {
        match kind {
            HostKind::Web | HostKind::Api { .. } => LARGEST_TEXT,
            HostKind::Image => self.max_image_bytes,
        }
    }
}

/// The name under which a URL's host is known to the fleet: with its port, where that is not the scheme's own.
pub(super) fn name_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_name() {
        let check = |url: &str, want: &str| assert_eq!(name_of(&Url::parse(url).unwrap()), want);
        check("https://www.YouTube.com/@x?a#b", "www.youtube.com");
        check("http://www.youtube.com:80/", "www.youtube.com");
        check("https://www.youtube.com:8443/", "www.youtube.com:8443");
        check("http://[::1]:7/", "[::1]:7");
    }
}
