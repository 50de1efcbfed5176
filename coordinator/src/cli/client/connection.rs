//! How the coordinator is reached, and why it is not.
//!
//! Owns the choice of a proxy and what is said of a connection that fails: which of proxy, name, certificate and
//! coordinator it is. Does not own requests.

use std::{error::Error, io};

use common::proxy;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::ClientBuilder;
use url::Url;

/// The way to one coordinator.
pub(super) struct Connection {
    base: Url,
    /// Address of the proxy, without its credentials.
    proxy: Option<String>,
    /// Whether the environment names a proxy that is not used, since a token would reach it in clear.
    ignores_proxy: bool,
}

impl Connection {
    /// Chooses the way to `base`, where the environment may name a proxy.
    pub(super) fn new(base: Url) -> Self {
        let environment = Matcher::from_env();
        let proxy = proxy_for(&base, &environment);
        let ignores_proxy =
            proxy.is_none() && !proxy::is_loopback(&base) && named_proxy(&base, &environment).is_some();
        Self { base, proxy, ignores_proxy }
    }

    /// Makes a client go this way.
    pub(super) fn apply(&self, client: ClientBuilder) -> ClientBuilder {
        // Without a setting, reqwest uses the proxy that `Matcher::from_env` names.
        if self.proxy.is_some() { client } else { client.no_proxy() }
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// Says why a request has no answer.
    pub(super) fn failure(&self, error: &reqwest::Error) -> String {
        let base = &self.base;
        let cause = || causes(error).last().map_or_else(|| error.to_string(), ToString::to_string);
        let in_tunnel = causes(error).any(|cause| cause.to_string().starts_with("tunnel error"));
        let tls = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>());
        let another = "name another with --url or SUBWATCH_URL";
        let ignored = match self.ignores_proxy {
            true => "; the proxy of the environment is used for https:// URLs only",
            false => "",
        };
        match (tls, &self.proxy) {
            (Some(rustls::Error::InvalidCertificate(_)), _) if !in_tunnel => {
                format!("the certificate of the coordinator at {base} is not accepted: {}", cause())
            }
            (Some(_), _) if !in_tunnel => {
                format!("the coordinator at {base} cannot be reached over TLS: {}", cause())
            }
            (_, Some(proxy)) if error.is_connect() => {
                let what = if error.is_timeout() { "it does not answer in time".to_owned() } else { cause() };
                format!(
                    "the coordinator at {base} cannot be reached through the proxy {proxy}: {what}; the environment \
                     names it in HTTPS_PROXY or ALL_PROXY"
                )
            }
            _ if error.is_dns() => {
                let host = base.host_str().unwrap_or_default();
                format!(
                    "cannot resolve {host}, the host of the coordinator at {base}: {}; {another}{ignored}",
                    cause()
                )
            }
            _ => {
                let what = if error.is_timeout() { "does not answer in time" } else { "cannot be reached" };
                format!(
                    "the coordinator at {base} {what}: is it running? start it with `make up` or `subwatch serve`, \
                     or {another}{ignored}"
                )
            }
        }
    }
}

/// Returns the proxy of the environment that requests to `base` go through.
fn proxy_for(base: &Url, environment: &Matcher) -> Option<String> {
    proxy::may_carry(base).then(|| named_proxy(base, environment)).flatten()
}

/// Returns the proxy that the environment names for `base`, used or not.
fn named_proxy(base: &Url, environment: &Matcher) -> Option<String> {
    let proxy = environment.intercept(&base.as_str().parse().ok()?)?;
    Some(proxy.uri().to_string().trim_end_matches('/').to_owned())
}

/// The causes of an error, the nearest first.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |error| cause_of(*error))
}

fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>() {
        // The `source` of an I/O error is that of the error it wraps, which would be left out.
        Some(error) => error.get_ref().map(|wrapped| wrapped as &(dyn Error + 'static)),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_proxy_is_used_for_https_to_other_machines_only() {
        let named = "http://user:hunter2@proxy.example:3128";
        let environments = [
            Matcher::builder().all(named).build(),
            Matcher::builder().http(named).https(named).build(),
            Matcher::builder().all(named).no("unrelated.example").build(),
        ];
        for environment in &environments {
            let check = |base: &str, want: Option<&str>| {
                assert_eq!(proxy_for(&Url::parse(base).unwrap(), environment).as_deref(), want, "{base}");
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

    /// Asks `base`, past a proxy that a client of its own has, and returns what is said of the failure.
    async fn said(base: &str, proxy: Option<&str>) -> String {
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

    /// An address that refuses connections.
    async fn refusing() -> String {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
    }

    /// An address that answers every connection with `answer` and closes it.
    async fn answering(answer: &'static str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let _ = connection.read(&mut [0; 4096]).await;
                let _ = connection.write_all(answer.as_bytes()).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn a_failed_connection_names_what_failed() {
        let (base, refused) = (format!("http://{}/", refusing().await), refusing().await);
        let text = said(&base, None).await;
        assert_eq!(
            text,
            format!(
                "the coordinator at {base} cannot be reached: is it running? start it with `make up` or `subwatch \
                 serve`, or name another with --url or SUBWATCH_URL"
            )
        );
        let text = said("http://coordinator.invalid/", None).await;
        assert!(text.starts_with("cannot resolve coordinator.invalid, "), "{text}");
        let plain = answering("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let text = said(&format!("https://{plain}"), None).await;
        assert!(text.contains("cannot be reached over TLS: received corrupt message"), "{text}");
        let text = said("https://coordinator.example", Some(&format!("http://{refused}"))).await;
        assert!(text.contains(&format!("through the proxy http://{refused}: ")), "{text}");
        assert!(text.contains("refused"), "{text}");
        let blocking = answering("HTTP/1.1 403 Forbidden\r\n\r\n").await;
        let text = said("https://coordinator.example", Some(&format!("http://{blocking}"))).await;
        assert!(text.contains(&format!("through the proxy http://{blocking}: tunnel error")), "{text}");
        let text = said("https://coordinator.example", Some("http://proxy.invalid:3128")).await;
        assert!(text.contains("through the proxy http://proxy.invalid:3128: "), "{text}");
    }
}
