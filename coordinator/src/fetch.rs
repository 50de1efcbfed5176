//! Fetches an image that a user names by URL, without becoming a way into the network the coordinator
//! stands in.
//!
//! Owns the limits: http and https only, public addresses only (checked after the name is resolved, and
//! again at every redirect), bounded bytes, redirects and time. Bytes are taken as they come: nothing is
//! decompressed here, so none can grow. The addresses that were checked are those
//! connected to, so a name that resolves anew to something else gains nothing.

use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use reqwest::{
    StatusCode, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::LOCATION,
    redirect::Policy,
};
use url::Host;

/// Redirects that are followed.
const REDIRECTS: usize = 5;
/// Longest URL, a redirect's included.
const LONGEST_URL: usize = 4096;
/// How long a connection may take to open, and the whole fetch.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const FETCH_LIMIT: Duration = Duration::from_secs(20);
/// Who asks.
const USER_AGENT: &str = concat!("subwatch/", env!("CARGO_PKG_VERSION"));

/// Why a URL yields no image.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// It is none that may be fetched.
    #[error("{0}")]
    Refused(String),
    /// The server does not answer as it should.
    #[error("{0}")]
    Failed(String),
}

/// Fetches images by URL.
pub(crate) struct Fetcher {
    client: reqwest::Client,
    allowed: Arc<Allowed>,
    max_bytes: u64,
}

/// Hosts whose addresses need not be public.
struct Allowed(Vec<String>);

impl Allowed {
    fn contains(&self, host: &str) -> bool {
        self.0.iter().any(|allowed| allowed == host)
    }
}

impl Fetcher {
    /// Makes a fetcher of images of at most `max_bytes`; `allowed` are hosts, separated by
    /// commas, that need not be public.
    pub(crate) fn new(allowed: &str, max_bytes: u64) -> Self {
        let allowed =
            allowed.split(',').map(|host| host.trim().to_lowercase()).filter(|host| !host.is_empty());
        let allowed = Arc::new(Allowed(allowed.collect()));
        // Another part of the program may have chosen a provider already; either will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_LIMIT)
            .timeout(FETCH_LIMIT)
            .dns_resolver(Arc::new(PublicOnly(allowed.clone())))
            .build()
            .expect("the settings of the client fit together");
        Self { client, allowed, max_bytes }
    }

    /// Fetches the bytes at `text`.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub(crate) async fn fetch(&self, text: &str) -> Result<Vec<u8>, FetchError> {
        if text.len() > LONGEST_URL {
            return Err(too_long(text.len()));
        }
        let mut url =
            Url::parse(text).map_err(|error| FetchError::Refused(format!("'{text}' is no URL: {error}")))?;
        for _ in 0..=REDIRECTS {
            self.check(&url)?;
            let answer = self.client.get(url.clone()).send().await.map_err(|error| failure(&url, &error))?;
            let status = answer.status();
            if !status.is_redirection() || status == StatusCode::NOT_MODIFIED {
                return self.read(&url, answer).await;
            }
            let target = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let target = target.and_then(|target| url.join(target).ok());
            url = target.ok_or_else(|| FetchError::Failed(format!("{url} redirects to nowhere")))?;
        }
        Err(FetchError::Failed(format!("'{text}' redirects more than {REDIRECTS} times")))
    }

    fn check(&self, url: &Url) -> Result<(), FetchError> {
        let refused = |what: String| Err(FetchError::Refused(what));
        if url.as_str().len() > LONGEST_URL {
            return Err(too_long(url.as_str().len()));
        }
        if !["http", "https"].contains(&url.scheme()) {
            return refused(format!(
                "the scheme '{}' of {url} is not supported, only http and https",
                url.scheme()
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused("a URL with credentials is not fetched".to_owned());
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            // A name is checked when it is resolved.
            Some(Host::Domain(_)) => return Ok(()),
            None => return refused(format!("{url} names no host")),
        };
        if is_public(address) || self.allowed.contains(url.host_str().unwrap_or_default()) {
            Ok(())
        } else {
            refused(not_public(url.host_str().unwrap_or_default()))
        }
    }

    async fn read(&self, url: &Url, mut answer: reqwest::Response) -> Result<Vec<u8>, FetchError> {
        let status = answer.status();
        if !status.is_success() {
            return Err(FetchError::Failed(format!("{url} answers {status}")));
        }
        let too_large =
            || FetchError::Failed(format!("{url} has more than the allowed {} bytes", self.max_bytes));
        if answer.content_length().is_some_and(|bytes| bytes > self.max_bytes) {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| failure(url, &error))? {
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > self.max_bytes {
                return Err(too_large());
            }
        }
        if bytes.is_empty() { Err(FetchError::Failed(format!("{url} has no bytes"))) } else { Ok(bytes) }
    }
}

fn too_long(bytes: usize) -> FetchError {
    FetchError::Refused(format!("a URL of {bytes} bytes is not fetched: the limit is {LONGEST_URL}"))
}

fn not_public(host: &str) -> String {
    format!("{host} is at no public address: images are fetched from public ones only (SUBWATCH_FETCH_ALLOW)")
}

fn failure(url: &Url, error: &reqwest::Error) -> FetchError {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        if let Some(refused) = source.downcast_ref::<NotPublic>() {
            return FetchError::Refused(not_public(&refused.0));
        }
        cause = source;
    }
    let what = if error.is_timeout() { "it took too long".to_owned() } else { cause.to_string() };
    FetchError::Failed(format!("{url} cannot be fetched: {what}"))
}

/// Resolves names to public addresses only.
struct PublicOnly(Arc<Allowed>);

#[derive(Debug, thiserror::Error)]
#[error("{0} is at no public address")]
struct NotPublic(String);

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.0.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let public: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| allowed.contains(&host) || is_public(address.ip()))
                .collect();
            if public.is_empty() {
                return Err(NotPublic(host).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the public internet (IANA's special-purpose address registries).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // Addresses that hold one of the old internet are judged by that.
    if let Some(inner) = address.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    if segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        let [high, low] = [segments[6], segments[7]].map(u16::to_be_bytes);
        return is_public_v4(Ipv4Addr::new(high[0], high[1], low[0], low[1]));
    }
    // What is given out is 2000::/3; of it, 2001::/23 and 2002::/16 are tunnels, 2001:db8::/32 and 3fff::/20
    // are for documentation.
    (0x2000..0x4000).contains(&segments[0])
        && !(segments[0] == 0x2001 && segments[1] < 0x200)
        && segments[..2] != [0x2001, 0xdb8]
        && segments[0] != 0x2002
        && !(segments[0] == 0x3fff && segments[1] < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for public in
            ["8.8.8.8", "100.63.0.1", "172.32.0.1", "198.20.0.1", "2606:4700::1111", "64:ff9b::808:808"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2001::1",
            "::7f00:1",
            "3fff::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    #[tokio::test]
    async fn what_is_not_public_is_refused_before_it_is_reached() {
        let fetcher = Fetcher::new("", 1000);
        for url in [
            "http://127.0.0.1/a.jpg",
            "http://localhost/a.jpg",
            "http://[::1]/a.jpg",
            "http://169.254.169.254/latest",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::ffff:127.0.0.1]/",
        ] {
            let refused = fetcher.fetch(url).await.unwrap_err();
            assert!(
                matches!(&refused, FetchError::Refused(text) if text.contains("no public address")),
                "{url}: {refused}"
            );
        }
        let long = fetcher.fetch(&format!("http://8.8.8.8/{}", "a".repeat(5000))).await.unwrap_err();
        assert_eq!(long.to_string(), "a URL of 5015 bytes is not fetched: the limit is 4096");
        for url in ["ftp://example.com/a", "file:///etc/passwd", "http://me:secret@example.com/", "no url"] {
            let refused = fetcher.fetch(url).await.unwrap_err();
            assert!(matches!(refused, FetchError::Refused(_)), "{url}: {refused}");
            assert!(!refused.to_string().contains("secret"));
        }
    }
}
