//! Protects an API without tokens from web pages in a local browser.
//!
//! A `Host` that is not loopback indicates DNS rebinding, where a page's own host name resolves to loopback. An
//! `Origin` that is not this server's, or a `Sec-Fetch-Site` other than `same-origin`, indicates a request of another
//! page: also one of another local port, where another user's program may run. With tokens none is needed, since a page
//! has no token.

use axum::{
    extract::Request,
    http::{
        HeaderMap, StatusCode, Uri,
        header::{self, AsHeaderName},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use url::{Host, Url};

use super::problem::Failure;

/// Sent by browsers (Fetch Metadata Request Headers, section 2.4).
const SEC_FETCH_SITE: &str = "sec-fetch-site";

pub(super) async fn reject_foreign_pages(request: Request, next: Next) -> Response {
    match check(request.headers(), request.uri()) {
        Ok(()) => next.run(request).await,
        Err(detail) => Failure::new(StatusCode::FORBIDDEN, detail).into_response(),
    }
}

fn check(headers: &HeaderMap, uri: &Uri) -> Result<(), String> {
    fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
        headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"))
    }
    let host = text(headers, header::HOST).or(uri.authority().map(axum::http::uri::Authority::as_str));
    let here = host.and_then(|host| loopback_port(&format!("http://{host}")));
    let Some(here) = here else {
        return Err(format!(
            "the Host header '{}' is not a loopback name: without access tokens, use 127.0.0.1, [::1] or \
             localhost",
            host.unwrap_or_default()
        ));
    };
    if text(headers, SEC_FETCH_SITE).is_some_and(|site| !["same-origin", "none"].contains(&site)) {
        return Err("requests from web pages of other sites are not allowed without access tokens".to_owned());
    }
    match text(headers, header::ORIGIN) {
        Some(origin) if loopback_port(origin) != Some(here) => Err(format!(
            "requests from web pages of '{origin}' are not allowed: without access tokens, only pages of \
                 this server may send requests"
        )),
        _ => Ok(()),
    }
}

/// Returns the port of a URL whose host is loopback.
fn loopback_port(url: &str) -> Option<u16> {
    let url = Url::parse(url).ok()?;
    let is_loopback = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    url.port_or_known_default().filter(|_| is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_hosts_and_origins_are_rejected() {
        use super::check as check_request;
        let check = |host: &str, origin: Option<&str>, want: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(
                check_request(&headers, &Uri::from_static("/v1/runs")).is_ok(),
                want,
                "{host} {origin:?}"
            );
        };
        check("127.0.0.1:8470", None, true);
        check("localhost:8470", None, true);
        check("[::1]:8470", Some("http://localhost:8470"), true);
        check("127.0.0.1:8470", Some("http://localhost:3000"), false);
        check("127.0.0.1:8470", Some("http://localhost"), false);
        check("localhost", Some("http://localhost:80"), true);
        check("rebound.example:8470", None, false);
        check("127.0.0.1:8470", Some("https://page.example"), false);
        check("127.0.0.1:8470", Some("null"), false);
        check("127.0.0.1.page.example", None, false);
        for (site, want) in
            [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "localhost:8470".parse().unwrap());
            headers.insert(SEC_FETCH_SITE, site.parse().unwrap());
            assert_eq!(check_request(&headers, &Uri::from_static("/v1/runs")).is_ok(), want, "{site}");
        }
    }
}
