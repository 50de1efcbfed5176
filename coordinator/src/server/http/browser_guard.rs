//! Protects an API without tokens from web pages in a local browser.
//!
//! Two checks: a `Host` that is not loopback indicates DNS rebinding, where a page's own host name resolves to
//! loopback; an `Origin` that is not loopback indicates a cross-origin request of a page. With tokens neither is
//! needed, since a page has no token.

use axum::{
    extract::Request,
    http::{HeaderMap, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use url::{Host, Url};

use super::problem::Failure;

pub(super) async fn reject_foreign_pages(request: Request, next: Next) -> Response {
    match check(request.headers(), request.uri()) {
        Ok(()) => next.run(request).await,
        Err(detail) => Failure::new(StatusCode::FORBIDDEN, detail).into_response(),
    }
}

fn check(headers: &HeaderMap, uri: &Uri) -> Result<(), String> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let host = text(header::HOST).or(uri.authority().map(axum::http::uri::Authority::as_str));
    if !host.is_some_and(|host| is_loopback(&format!("http://{host}"))) {
        return Err(format!(
            "the Host header '{}' is not a loopback name: without access tokens, use 127.0.0.1, [::1] or \
             localhost",
            host.unwrap_or_default()
        ));
    }
    match text(header::ORIGIN) {
        Some(origin) if !is_loopback(origin) => Err(format!(
            "requests from web pages of '{origin}' are not allowed: without access tokens, only pages of \
                 127.0.0.1, [::1] or localhost may send requests"
        )),
        _ => Ok(()),
    }
}

fn is_loopback(url: &str) -> bool {
    match Url::parse(url).ok().as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
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
        check("[::1]:8470", Some("http://localhost:3000"), true);
        check("rebound.example:8470", None, false);
        check("127.0.0.1:8470", Some("https://page.example"), false);
        check("127.0.0.1:8470", Some("null"), false);
        check("127.0.0.1.page.example", None, false);
    }
}
