//! `robots.txt`, fetched once for all and heeded.

use std::time::Duration;

use crawler::http::{HostKind, WebError};
use futures::future::join_all;
use serde_json::json;
use tests::site::{Answer, Site, Visit};

use super::{Fleet, arrivals, at, get_all, image_site};

fn robots(text: &str) -> Answer {
    Answer::image(text.as_bytes().to_vec())
}

#[tokio::test]
async fn pages_are_read_as_robots_txt_allows_and_it_is_fetched_once_for_all() {
    let (fleet, site) = (Fleet::hasty(), image_site().await);
    let workers = fleet.workers(4).await;
    let rules =
        "User-agent: *\nDisallow: /\n\nUser-agent: Subwatch\nDisallow: /youtubei/\nAllow: /youtubei/ok\n";
    site.set("/robots.txt", robots(rules));
    for path in ["/@channel", "/youtubei/ok", "/youtubei/v1/browse"] {
        site.set(path, Answer::image(b"page".to_vec()));
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
        // It is about pages.
        assert!(web.get(HostKind::Image, &disallowed, None).await.is_ok());
    }))
    .await;
    let count = |path: &str| site.visits().iter().filter(|visit| visit.path == path).count();
    assert_eq!((count("/robots.txt"), count("/@channel"), count("/youtubei/v1/browse")), (1, 4, 4));
}

#[tokio::test]
async fn a_site_without_robots_txt_allows_all_and_one_that_does_not_say_nothing() {
    let fleet = Fleet::hasty();
    let web = fleet.worker("here").await;
    for status in [404, 403, 410] {
        let site = Site::start(vec![("/page", Answer::image(b"page".to_vec()))]).await;
        site.set("/robots.txt", Answer::status(status));
        assert!(web.get(HostKind::Web, &at(&site, "/page"), None).await.is_ok(), "{status}");
    }
    let site = Site::start(vec![("/page", Answer::image(b"page".to_vec()))]).await;
    site.set("/robots.txt", Answer::status(500));
    for _ in 0..2 {
        let error = web.get(HostKind::Web, &at(&site, "/page"), None).await.unwrap_err();
        assert!(
            matches!(&error, WebError::Retryable(what) if what.contains("/robots.txt returned 500")),
            "{error}"
        );
    }
    let paths: Vec<String> = site.visits().into_iter().map(|visit| visit.path).collect();
    assert_eq!(paths, ["/robots.txt"]);

    // One that has moved applies to where it was looked for; one inside our network is not looked at.
    let (site, other) = (image_site().await, image_site().await);
    site.set("/robots.txt", Answer::redirect(at(&other, "/robots.txt").as_str()));
    other.set("/robots.txt", robots("User-agent: *\nDisallow: /a"));
    let error = web.get(HostKind::Web, &at(&site, "/a.jpg"), None).await.unwrap_err();
    assert!(matches!(&error, WebError::Refused(what) if what.contains("'Disallow: /a'")), "{error}");
    let site = image_site().await;
    site.set("/robots.txt", Answer::redirect("http://127.0.0.1:1/robots.txt"));
    let error = web.get(HostKind::Web, &at(&site, "/a.jpg"), None).await.unwrap_err();
    assert!(error.to_string().contains("does not have a public address"), "{error}");
}

#[tokio::test]
async fn a_crawl_delay_is_kept() {
    let (fleet, site) = (Fleet::hasty(), image_site().await);
    site.set("/robots.txt", robots("User-agent: *\nCrawl-delay: 0.1\n"));
    let workers = fleet.workers(2).await;
    get_all(&workers, HostKind::Web, &at(&site, "/a.jpg"), 1).await;
    let pages: Vec<Visit> = site.visits().into_iter().filter(|visit| visit.path == "/a.jpg").collect();
    assert_eq!(pages.len(), 6);
    assert!(arrivals(&pages).windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(100)));
}
