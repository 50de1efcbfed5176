//! An HTTP client for URLs from users and sites, protected against server-side request forgery.
//!
//! Owns the limits of one request: http and https only, public addresses only (checked after name resolution), a
//! maximum size and a timeout. Does not follow redirects: the caller sends another request, which is checked like the
//! first. Does not decompress, so a body cannot grow. The client connects to the addresses that were checked, so DNS
//! rebinding does not help an attacker.

use std::{
    error::Error,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use reqwest::{
    Request, Response, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header::LOCATION,
    redirect::Policy,
    retry,
};
use url::{Host, Url};

use super::public_address::is_public;

/// Redirects that callers follow at most.
pub(super) const MAX_REDIRECTS: usize = 5;
/// Longest URL, also of a redirect.
const MAX_URL_BYTES: usize = 4096;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a fetch failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL is invalid or not allowed.
    #[error("{0}")]
    Refused(String),
    /// The body exceeds the limit.
    #[error("{0}")]
    TooLarge(String),
    /// The server failed or is unreachable.
    #[error("{0}")]
    Failed(String),
}

/// Sends requests to public addresses.
pub(super) struct GuardedClient {
    client: reqwest::Client,
    allowed: Arc<Allowed>,
}

/// Hosts that need not have a public address.
struct Allowed(Vec<String>);

impl Allowed {
    fn contains(&self, host: &str) -> bool {
        self.0.iter().any(|allowed| allowed == host)
    }
}

impl GuardedClient {
    /// `allowed` lists hosts that need not have a public address, separated by commas; `timeout` limits a request and
    /// its response.
    ///
    /// # Panics
    /// If `user_agent` is not a valid header value.
    #[must_use]
    pub(super) fn new(allowed: &str, user_agent: &str, timeout: Duration) -> Self {
        let allowed =
            allowed.split(',').map(|host| host.trim().to_lowercase()).filter(|host| !host.is_empty());
        let allowed = Arc::new(Allowed(allowed.collect()));
        // An error means that a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(user_agent)
            .redirect(Policy::none())
            .retry(retry::never())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .dns_resolver(Arc::new(PublicOnly(allowed.clone())))
            .build()
            .expect("the client's settings are valid");
        Self { client, allowed }
    }

    /// Whether the operator exempts `host` from having a public address.
    #[must_use]
    pub(super) fn allows(&self, host: &str) -> bool {
        self.allowed.contains(host)
    }

    /// Sends a request and returns the response headers, whatever the status.
    pub(super) async fn send(&self, request: Request) -> Result<Response, FetchError> {
        let url = request.url().clone();
        self.check(&url)?;
        self.client.execute(request).await.map_err(|error| failure(&url, &error))
    }

    /// Checks a URL without resolving its host name; addresses are checked when the name is resolved.
    pub(super) fn check(&self, url: &Url) -> Result<(), FetchError> {
        let refused = |message: String| Err(FetchError::Refused(message));
        check_length(url.as_str())?;
        if !["http", "https"].contains(&url.scheme()) {
            return refused(format!("{url} must start with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused("the URL must not contain credentials".to_owned());
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) => return Ok(()),
            None => return refused(format!("{url} has no host")),
        };
        if is_public(address) || self.allowed.contains(url.host_str().unwrap_or_default()) {
            Ok(())
        } else {
            refused(not_public(url.host_str().unwrap_or_default()))
        }
    }
}

pub(super) fn parse(text: &str) -> Result<Url, FetchError> {
    check_length(text)?;
    Url::parse(text).map_err(|error| FetchError::Refused(format!("'{text}' is not a valid URL: {error}")))
}

/// The `User-Agent`: the program, and the operator's contact if one is set.
#[must_use]
pub(crate) fn user_agent(contact: Option<&Url>) -> String {
    let program = concat!("subwatch/", env!("CARGO_PKG_VERSION"));
    contact.map_or_else(|| program.to_owned(), |contact| format!("{program} (+{contact})"))
}

/// Returns the target of a redirect, or `None` for any other response.
///
/// # Errors
/// If a redirect has no valid `Location`.
pub(super) fn redirect(response: &Response) -> Result<Option<Url>, FetchError> {
    if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED {
        return Ok(None);
    }
    let target = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let target = target.and_then(|target| response.url().join(target).ok());
    let invalid = || FetchError::Failed(format!("{} redirects without a valid Location", response.url()));
    target.ok_or_else(invalid).map(Some)
}

/// Reads a body of at most `max_bytes`.
pub(super) async fn read(mut response: Response, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
    let url = response.url().clone();
    let too_large = || FetchError::TooLarge(format!("{url} exceeds {max_bytes} bytes"));
    if response.content_length().is_some_and(|bytes| bytes > max_bytes) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| failure(&url, &error))? {
        bytes.extend_from_slice(&piece);
        if bytes.len() as u64 > max_bytes {
            return Err(too_large());
        }
    }
    Ok(bytes)
}

fn check_length(url: &str) -> Result<(), FetchError> {
    if url.len() <= MAX_URL_BYTES {
        return Ok(());
    }
    let bytes = url.len();
    Err(FetchError::Refused(format!("the URL has {bytes} bytes; the limit is {MAX_URL_BYTES}")))
}

fn not_public(host: &str) -> String {
    format!("{host} does not have a public address; SUBWATCH_FETCH_ALLOW lists exceptions")
}

fn failure(url: &Url, error: &reqwest::Error) -> FetchError {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        if let Some(refused) = source.downcast_ref::<NotPublic>() {
            return FetchError::Refused(not_public(&refused.0));
        }
        cause = source;
    }
    let reason = if error.is_timeout() { "timed out".to_owned() } else { cause.to_string() };
    FetchError::Failed(format!("{url} could not be fetched: {reason}"))
}

/// Resolves names to public addresses.
struct PublicOnly(Arc<Allowed>);

#[derive(Debug, thiserror::Error)]
#[error("{0} does not have a public address")]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_agent_contains_the_contact() {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(user_agent(None), format!("subwatch/{version}"));
        let contact = Url::parse("https://example.org/crawler").unwrap();
        assert_eq!(user_agent(Some(&contact)), format!("subwatch/{version} (+https://example.org/crawler)"));
    }
}
