//! `robots.txt`: fetched once per fleet, and obeyed.

use std::time::Duration;

use crawler::http::{HostKind, WebError};
use futures::future::join_all;
use serde_json::json;
use tests::web_server::{ReceivedRequest, Response, WebServer};

use super::{Fleet, arrivals, at, get_all, image_site};

fn robots(text: &str) -> Response {
    Response::image(text.as_bytes().to_vec())
}

#[tokio::test]
async fn robots_txt_is_obeyed_and_fetched_once_per_fleet() {
    let (fleet, site) = (Fleet::unlimited(), image_site().await);
    let workers = fleet.workers(4).await;
    let rules =
        "User-agent: *\nDisallow: /\n\nUser-agent: Subwatch\nDisallow: /youtubei/\nAllow: /youtubei/ok\n";
    site.set("/robots.txt", robots(rules));
    for path in ["/@channel", "/youtubei/ok", "/youtubei/v1/browse"] {
        site.set(path, Response::image(b"page".to_vec()));
    }
    join_all(workers.iter().map(async |web| {
        for path in ["/@channel", "/youtubei/ok"] {
            assert_eq!(web.get(HostKind::Web, &at(&site, path), None).await.unwrap().bytes, b"page");
        }
        let disallowed = at(&site, "/youtubei/v1/browse");
        for refused in [
            web.get(HostKind::Web, &disallowed, None).await,
            web.post_json(HostKind::Web, &disallowed, &json!({})).await,
        ] {
            let error = refused.unwrap_err();
            assert!(
                matches!(&error, WebError::Refused(what) if what.contains("'Disallow: /youtubei/' for user agent subwatch")),
                "{error}"
            );
        }
        // robots.txt applies to pages only.
        assert!(web.get(HostKind::Image, &disallowed, None).await.is_ok());
    }))
    .await;
    let count = |path: &str| site.requests().iter().filter(|request| request.path == path).count();
    assert_eq!((count("/robots.txt"), count("/@channel"), count("/youtubei/v1/browse")), (1, 4, 4));
}

#[tokio::test]
async fn missing_robots_txt_allows_everything_and_an_unavailable_one_nothing() {
    let fleet = Fleet::unlimited();
    let web = fleet.worker("here").await;
    for status in [404, 403, 410] {
        let site = WebServer::start(vec![("/page", Response::image(b"page".to_vec()))]).await;
        site.set("/robots.txt", Response::status(status));
        assert!(web.get(HostKind::Web, &at(&site, "/page"), None).await.is_ok(), "{status}");
    }
    let site = WebServer::start(vec![("/page", Response::image(b"page".to_vec()))]).await;
    site.set("/robots.txt", Response::status(500));
    for _ in 0..2 {
        let error = web.get(HostKind::Web, &at(&site, "/page"), None).await.unwrap_err();
        assert!(
            matches!(&error, WebError::Retryable(what) if what.contains("/robots.txt returned 500")),
            "{error}"
        );
    }
    let paths: Vec<String> = site.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/robots.txt"]);

    // A redirected robots.txt applies to the original host. A redirect to a private address is refused.
    let (site, other) = (image_site().await, image_site().await);
    site.set("/robots.txt", Response::redirect(at(&other, "/robots.txt").as_str()));
    other.set("/robots.txt", robots("User-agent: *\nDisallow: /a"));
    let error = web.get(HostKind::Web, &at(&site, "/a.jpg"), None).await.unwrap_err();
    assert!(matches!(&error, WebError::Refused(what) if what.contains("'Disallow: /a'")), "{error}");
    let site = image_site().await;
    site.set("/robots.txt", Response::redirect("http://127.0.0.1:1/robots.txt"));
    let error = web.get(HostKind::Web, &at(&site, "/a.jpg"), None).await.unwrap_err();
    assert!(error.to_string().contains("does not have a public address"), "{error}");
}

#[tokio::test]
async fn crawl_delay_is_obeyed() {
    let (fleet, site) = (Fleet::unlimited(), image_site().await);
    site.set("/robots.txt", robots("User-agent: *\nCrawl-delay: 0.1\n"));
    let workers = fleet.workers(2).await;
    get_all(&workers, HostKind::Web, &at(&site, "/a.jpg"), 1).await;
    let pages: Vec<ReceivedRequest> =
        site.requests().into_iter().filter(|request| request.path == "/a.jpg").collect();
    assert_eq!(pages.len(), 6);
    assert!(arrivals(&pages).windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(100)));
}
