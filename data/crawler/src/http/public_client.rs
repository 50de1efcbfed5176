//! Asks servers for what users and sites name by URL, without becoming a way into the network this machine
//! stands in.
//!
//! Owns the limits of one request: http and https only, public addresses only (checked after the name is
//! resolved), bounded bytes and time. Does not own whether a redirect is followed: the caller sends another
//! request, which is checked as the first was. Bytes are taken as they come: nothing is decompressed here, so
//! none can grow. The addresses that were checked are those connected to, so a name that resolves anew to
//! something else gains nothing.

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

/// Redirects that callers follow.
pub(super) const REDIRECTS: usize = 5;
/// Longest URL, a redirect's included.
const LONGEST_URL: usize = 4096;
/// How long a connection may take to open.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Why a URL yields nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FetchError {
    /// It is none that may be fetched.
    #[error("{0}")]
    Refused(String),
    /// It has more bytes than allowed.
    #[error("{0}")]
    TooLarge(String),
    /// The server does not answer as it should.
    #[error("{0}")]
    Failed(String),
}

/// Sends requests to public addresses.
pub(super) struct GuardedClient {
    client: reqwest::Client,
    allowed: Arc<Allowed>,
}

/// Hosts whose addresses need not be public.
struct Allowed(Vec<String>);

impl Allowed {
    fn contains(&self, host: &str) -> bool {
        self.0.iter().any(|allowed| allowed == host)
    }
}

impl GuardedClient {
    /// Makes a client that says it is `user_agent` and gives a request and its answer `limit`; `allowed` are
    /// hosts, separated by commas, that need not be public.
    ///
    /// # Panics
    /// When `user_agent` is no value of a header.
    #[must_use]
    pub(super) fn new(allowed: &str, user_agent: &str, limit: Duration) -> Self {
        let allowed =
            allowed.split(',').map(|host| host.trim().to_lowercase()).filter(|host| !host.is_empty());
        let allowed = Arc::new(Allowed(allowed.collect()));
        // Another part of the program may have chosen a provider already; either will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(user_agent)
            .redirect(Policy::none())
            .retry(retry::never())
            .no_proxy()
            .connect_timeout(CONNECT_LIMIT)
            .timeout(limit)
            .dns_resolver(Arc::new(PublicOnly(allowed.clone())))
            .build()
            .expect("the settings of the client fit together");
        Self { client, allowed }
    }

    /// Whether the operator allows `host` though it need not be public.
    #[must_use]
    pub(super) fn allows(&self, host: &str) -> bool {
        self.allowed.contains(host)
    }

    /// Sends a request and returns the head of the answer, whatever its status.
    ///
    /// # Errors
    /// When the URL may not be fetched, or its server does not answer in time.
    pub(super) async fn send(&self, request: Request) -> Result<Response, FetchError> {
        let url = request.url().clone();
        self.check(&url)?;
        self.client.execute(request).await.map_err(|error| failure(&url, &error))
    }

    /// Checks what the text of a URL tells; a name is checked when it is resolved.
    ///
    /// # Errors
    /// When it is none that may be fetched.
    pub(super) fn check(&self, url: &Url) -> Result<(), FetchError> {
        let refused = |what: String| Err(FetchError::Refused(what));
        check_length(url.as_str())?;
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
            Some(Host::Domain(_)) => return Ok(()),
            None => return refused(format!("{url} names no host")),
        };
        if is_public(address) || self.allowed.contains(url.host_str().unwrap_or_default()) {
            Ok(())
        } else {
            refused(not_public(url.host_str().unwrap_or_default()))
        }
    }
}

/// Reads a URL.
///
/// # Errors
/// When `text` is none, or too long.
pub(super) fn parse(text: &str) -> Result<Url, FetchError> {
    check_length(text)?;
    Url::parse(text).map_err(|error| FetchError::Refused(format!("'{text}' is no URL: {error}")))
}

/// Who asks, as sites are told: the program, and where to complain about it.
#[must_use]
pub(crate) fn user_agent(contact: Option<&Url>) -> String {
    let program = concat!("subwatch/", env!("CARGO_PKG_VERSION"));
    contact.map_or_else(|| program.to_owned(), |contact| format!("{program} (+{contact})"))
}

/// Returns where an answer redirects to, if it does.
///
/// # Errors
/// When it redirects to nowhere.
pub(super) fn redirect(answer: &Response) -> Result<Option<Url>, FetchError> {
    if !answer.status().is_redirection() || answer.status() == StatusCode::NOT_MODIFIED {
        return Ok(None);
    }
    let target = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let target = target.and_then(|target| answer.url().join(target).ok());
    let nowhere = || FetchError::Failed(format!("{} redirects to nowhere", answer.url()));
    target.ok_or_else(nowhere).map(Some)
}

/// Reads the body of an answer, at most `max_bytes`.
///
/// # Errors
/// When it has more, or ends before it should.
pub(super) async fn read(mut answer: Response, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
    let url = answer.url().clone();
    let too_large = || FetchError::TooLarge(format!("{url} has more than the allowed {max_bytes} bytes"));
    if answer.content_length().is_some_and(|bytes| bytes > max_bytes) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| failure(&url, &error))? {
        bytes.extend_from_slice(&piece);
        if bytes.len() as u64 > max_bytes {
            return Err(too_large());
        }
    }
    Ok(bytes)
}

fn check_length(url: &str) -> Result<(), FetchError> {
    if url.len() <= LONGEST_URL {
        return Ok(());
    }
    let bytes = url.len();
    Err(FetchError::Refused(format!("a URL of {bytes} bytes is not fetched: the limit is {LONGEST_URL}")))
}

fn not_public(host: &str) -> String {
    format!("{host} is at no public address: only those are fetched from (SUBWATCH_FETCH_ALLOW)")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_agent_says_whom_to_ask() {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(user_agent(None), format!("subwatch/{version}"));
        let contact = Url::parse("https://example.org/crawler").unwrap();
        assert_eq!(user_agent(Some(&contact)), format!("subwatch/{version} (+https://example.org/crawler)"));
    }
}
