//! Kinds of hosts, and the rate limits of each.

use std::time::Duration;

use common::{config::CrawlSettings, job::crawl::Bases, store::Limits};
use url::Url;

/// Lease of a request slot. Longer than [`crate::http::REQUEST_TIMEOUT`], so a running request keeps its slot.
const LEASE: Duration = Duration::from_secs(60);
/// Largest page or API response, decompressed.
const MAX_TEXT_BYTES: u64 = 16 << 20;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HostKind {
    /// Pages, subject to `robots.txt`.
    Web,
    /// The Data API, requested with the key.
    Api {
        /// Quota units that the request costs.
        units: u32,
    },
    /// Thumbnails.
    Image,
}

/// Limits by kind of host.
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
            HostKind::Web | HostKind::Api { .. } => MAX_TEXT_BYTES,
            HostKind::Image => self.max_image_bytes,
        }
    }
}

/// The fleet's name for a URL's host: with the port, unless it is the scheme's default.
pub(super) fn host_name(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Returns the name under which a back-off is recorded for a crawl that sets its own base URL: `HOST KIND BASE`. `None`
/// for a default base, which all crawls share.
pub(super) fn own_host(kind: HostKind, url: &Url, bases: &Bases) -> Option<String> {
    let defaults = Bases::default();
    let (kind, base, default) = match kind {
        HostKind::Web => ("web", &bases.web, &defaults.web),
        HostKind::Api { .. } => ("api", &bases.api, &defaults.api),
        HostKind::Image => ("image", &bases.image, &defaults.image),
    };
    (base != default).then(|| format!("{} {kind} {base}", host_name(url)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_default_bases_are_shared() {
        let url = Url::parse("https://i.ytimg.com/vi/x").unwrap();
        let own = Bases { image: Url::parse("https://i.ytimg.com/own/").unwrap(), ..Bases::default() };
        assert_eq!(own_host(HostKind::Image, &url, &Bases::default()), None);
        assert_eq!(own_host(HostKind::Web, &url, &own), None);
        let name = own_host(HostKind::Image, &url, &own);
        assert_eq!(name.as_deref(), Some("i.ytimg.com image https://i.ytimg.com/own/"));
    }

    #[test]
    fn host_name_omits_the_default_port() {
        let check = |url: &str, want: &str| assert_eq!(host_name(&Url::parse(url).unwrap()), want);
        check("https://www.YouTube.com/@x?a#b", "www.youtube.com");
        check("http://www.youtube.com:80/", "www.youtube.com");
        check("https://www.youtube.com:8443/", "www.youtube.com:8443");
        check("http://[::1]:7/", "[::1]:7");
    }
}
