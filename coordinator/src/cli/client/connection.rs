//! The connection to the coordinator.
//!
//! Owns the choice of a proxy, and the error message if a connection fails: it names the proxy, the host name, the
//! certificate or the coordinator as the cause.

use std::{error::Error, io};

use common::proxy;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::ClientBuilder;
use url::Url;

pub(super) struct Connection {
    base: Url,
    /// URL of the proxy, without its credentials.
    proxy: Option<String>,
    /// Whether a proxy in the environment is not used, because it would receive the token unencrypted.
    ignores_proxy: bool,
}

impl Connection {
    /// Chooses the proxy of the environment for `base`, if it may be used.
    pub(super) fn new(base: Url) -> Self {
        let environment = Matcher::from_env();
        let proxy = proxy_for(&base, &environment);
        let ignores_proxy =
            proxy.is_none() && !proxy::is_loopback(&base) && configured_proxy(&base, &environment).is_some();
        Self { base, proxy, ignores_proxy }
    }

    pub(super) fn apply(&self, client: ClientBuilder) -> ClientBuilder {
        // By default, reqwest uses the proxy that `Matcher::from_env` returns.
        if self.proxy.is_some() { client } else { client.no_proxy() }
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// Explains why a request has no response.
    pub(super) fn failure(&self, error: &reqwest::Error) -> String {
        let base = &self.base;
        let cause = || causes(error).last().map_or_else(|| error.to_string(), ToString::to_string);
        let in_tunnel = causes(error).any(|cause| cause.to_string().starts_with("tunnel error"));
        let tls = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>());
        let other_url = "set another URL with --url or SUBWATCH_URL";
        let ignored = match self.ignores_proxy {
            true => "; the proxy in the environment is used for https:// URLs only",
            false => "",
        };
        match (tls, &self.proxy) {
            (Some(rustls::Error::InvalidCertificate(_)), _) if !in_tunnel => {
                format!("cannot verify the certificate of the coordinator at {base}: {}", cause())
            }
            (Some(_), _) if !in_tunnel => {
                format!("the coordinator at {base} cannot be reached over TLS: {}", cause())
            }
            (_, Some(proxy)) if error.is_connect() => {
                let reason =
                    if error.is_timeout() { "it does not respond in time".to_owned() } else { cause() };
                format!(
                    "the coordinator at {base} cannot be reached through the proxy {proxy} (from HTTPS_PROXY or \
                     ALL_PROXY): {reason}"
                )
            }
            _ if error.is_dns() => {
                let host = base.host_str().unwrap_or_default();
                format!(
                    "cannot resolve {host}, the host of the coordinator at {base}: {}; {other_url}{ignored}",
                    cause()
                )
            }
            _ => {
                let problem =
                    if error.is_timeout() { "does not respond in time" } else { "cannot be reached" };
                format!(
                    "the coordinator at {base} {problem}: start it with `make up` or `subwatch serve`, or \
                     {other_url}{ignored}"
                )
            }
        }
    }
}

/// Returns the proxy for `base`, if it may be used.
fn proxy_for(base: &Url, environment: &Matcher) -> Option<String> {
    proxy::may_carry(base).then(|| configured_proxy(base, environment)).flatten()
}

/// Returns the proxy that the environment configures for `base`, even if it may not be used.
fn configured_proxy(base: &Url, environment: &Matcher) -> Option<String> {
    let proxy = environment.intercept(&base.as_str().parse().ok()?)?;
    Some(proxy.uri().to_string().trim_end_matches('/').to_owned())
}

/// Returns the causes of an error, nearest first.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |error| cause_of(*error))
}

fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>() {
        // `source` would skip the error that an I/O error wraps.
        Some(error) => error.get_ref().map(|wrapped| wrapped as &(dyn Error + 'static)),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn proxy_is_used_only_for_https_to_other_machines() {
        let named = "http://user:hunter2@proxy.example:3128";
        let environments = [
            Matcher::builder().all(named).build(),
            Matcher::builder().http(named).https(named).build(),
            Matcher::builder().all(named).no("unrelated.example").build(),
        ];
        for environment in &environments {
            let check = |base: &str, expected: Option<&str>| {
                assert_eq!(proxy_for(&Url::parse(base).unwrap(), environment).as_deref(), expected, "{base}");
            };
            for base in ["http://127.0.0.1:8470", "https://localhost", "http://a.localhost", "https://[::1]"]
            {
                check(base, None);
            }
            check("http://coordinator.example", None);
            check("https://coordinator.example", Some("http://proxy.example:3128"));
        }
        let excluded = Matcher::builder().all(named).no("coordinator.example").build();
        assert_eq!(proxy_for(&Url::parse("https://coordinator.example").unwrap(), &excluded), None);
        let plain_only = Matcher::builder().http(named).build();
        assert_eq!(proxy_for(&Url::parse("https://coordinator.example").unwrap(), &plain_only), None);
    }

    /// Sends a request to `base`, which must fail, and returns the error message.
    async fn failure(base: &str, proxy: Option<&str>) -> String {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let connection = Connection {
            base: Url::parse(base).unwrap(),
            proxy: proxy.map(str::to_owned),
            ignores_proxy: false,
        };
        let mut client = reqwest::Client::builder().no_proxy();
        if let Some(proxy) = proxy {
            client = client.proxy(reqwest::Proxy::all(proxy).unwrap());
        }
        let error = client.build().unwrap().get(connection.base.clone()).send().await.unwrap_err();
        connection.failure(&error)
    }

    /// Returns an address that refuses connections.
    async fn refusing_address() -> String {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
    }

    /// Starts a server that sends `response` to every connection, and returns its address.
    async fn responding_address(response: &'static str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let _ = connection.read(&mut [0; 4096]).await;
                let _ = connection.write_all(response.as_bytes()).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn failed_connection_names_the_cause() {
        let (base, refused) = (format!("http://{}/", refusing_address().await), refusing_address().await);
        let text = failure(&base, None).await;
        assert_eq!(
            text,
            format!(
                "the coordinator at {base} cannot be reached: start it with `make up` or `subwatch serve`, or set \
                 another URL with --url or SUBWATCH_URL"
            )
        );
        let text = failure("http://coordinator.invalid/", None).await;
        assert!(text.starts_with("cannot resolve coordinator.invalid, "), "{text}");
        let plain = responding_address("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let text = failure(&format!("https://{plain}"), None).await;
        assert!(text.contains("cannot be reached over TLS: received corrupt message"), "{text}");
        let text = failure("https://coordinator.example", Some(&format!("http://{refused}"))).await;
        assert!(
            text.contains(&format!("through the proxy http://{refused} (from HTTPS_PROXY or ALL_PROXY): ")),
            "{text}"
        );
        assert!(text.contains("refused"), "{text}");
        let blocking = responding_address("HTTP/1.1 403 Forbidden\r\n\r\n").await;
        let text = failure("https://coordinator.example", Some(&format!("http://{blocking}"))).await;
        assert!(
            text.contains(&format!(
                "through the proxy http://{blocking} (from HTTPS_PROXY or ALL_PROXY): tunnel error"
            )),
            "{text}"
        );
        let text = failure("https://coordinator.example", Some("http://proxy.invalid:3128")).await;
        assert!(
            text.contains("through the proxy http://proxy.invalid:3128 (from HTTPS_PROXY or ALL_PROXY): "),
            "{text}"
        );
    }
}
