//! What may be asked for, and what is told of the answers.

use std::{io::Write as _, time::Duration};

use common::config::{CrawlSettings, ImageSettings, Settings};
use crawler::http::{HostKind, WebError};
use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use tests::site::Answer;
use url::Url;

use super::{Fleet, at, hasty, host, image_site};

#[tokio::test]
async fn a_redirect_needs_a_place_at_the_host_it_leads_to() {
    let (fleet, site, other) = (Fleet::hasty(), image_site().await, image_site().await);
    let (store, web) = (fleet.store().await, fleet.worker("here").await);
    site.set("/moved.jpg", Answer::redirect(at(&other, "/a.jpg").as_str()));
    let answer = web.get(HostKind::Image, &at(&site, "/moved.jpg"), None).await.unwrap();
    assert_eq!((answer.url, answer.bytes.as_slice()), (at(&other, "/a.jpg"), b"image".as_slice()));

    store.back_off(&host(&other), "enough", Duration::from_secs(60), "somebody").await.unwrap();
    let error = web.get(HostKind::Image, &at(&site, "/moved.jpg"), None).await.unwrap_err();
    assert!(matches!(&error, WebError::BackedOff { host: name, .. } if *name == host(&other)), "{error:?}");
    assert_eq!((site.visits().len(), other.visits().len()), (2, 1));
}

#[tokio::test]
async fn what_may_not_be_fetched_is_refused_wherever_it_is_named() {
    let (fleet, site) = (Fleet::hasty(), image_site().await);
    let web = fleet.worker("here").await;
    let inside = format!("http://127.0.0.1:{}/a.jpg", site.port());
    for target in
        [inside.as_str(), "http://169.254.169.254/latest", "file:///etc/passwd", "http://me:x@localhost/"]
    {
        site.set("/moved", Answer::redirect(target));
        for (kind, url) in [
            (HostKind::Image, at(&site, "/moved")),
            (HostKind::Web, at(&site, "/moved")),
            (HostKind::Web, Url::parse(target).unwrap()),
        ] {
            let error = web.get(kind, &url, None).await.unwrap_err();
            assert!(matches!(&error, WebError::Refused(_)), "{url}: {error}");
        }
    }
    assert!(site.visits().iter().all(|visit| ["/moved", "/robots.txt"].contains(&visit.path.as_str())));
    site.set("/round", Answer::redirect("/round"));
    let error = web.get(HostKind::Image, &at(&site, "/round"), None).await.unwrap_err();
    assert!(error.to_string().contains("more than 5 redirects"), "{error}");
    assert_eq!(site.visits().iter().filter(|visit| visit.path == "/round").count(), 6);
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[tokio::test]
async fn bodies_are_bounded_packed_or_not() {
    let images = ImageSettings { max_image_bytes: 100_000, ..ImageSettings::default() };
    let (fleet, site) = (Fleet::new(Settings { images, ..hasty() }), image_site().await);
    let web = fleet.worker("here").await;
    let gzip = |body: &[u8]| Answer::image(packed(body)).with_header("content-encoding: gzip");
    site.set("/packed.jpg", gzip(&[7; 1000]));
    let url = at(&site, "/packed.jpg");
    assert_eq!(web.get(HostKind::Image, &url, None).await.unwrap().bytes, [7; 1000]);
    for (path, answer) in [
        ("/large.jpg", Answer::image(vec![0; 100_001])),
        ("/endless.jpg", Answer::endless()),
        ("/bomb.jpg", gzip(&vec![0; 32 << 20])),
    ] {
        site.set(path, answer);
        let error = web.get(HostKind::Image, &at(&site, path), None).await.unwrap_err();
        assert!(matches!(&error, WebError::TooLarge(what) if what.contains(path)), "{error}");
    }
    for (path, answer) in [
        ("/broken.jpg", Answer::image(b"no gzip".to_vec()).with_header("content-encoding: gzip")),
        ("/other.jpg", Answer::image(b"?".to_vec()).with_header("content-encoding: br")),
    ] {
        site.set(path, answer);
        let error = web.get(HostKind::Image, &at(&site, path), None).await.unwrap_err();
        assert!(matches!(&error, WebError::Malformed(what) if what.contains(path)), "{error}");
    }
}

#[tokio::test]
async fn answers_and_their_absence_are_told_apart() {
    let (fleet, site) = (Fleet::hasty(), image_site().await);
    let web = fleet.worker("here").await;
    site.set("/a.jpg", Answer::image(b"image".to_vec()).with_header("etag: \"7\""));
    let answer = web.get(HostKind::Image, &at(&site, "/a.jpg"), None).await.unwrap();
    assert_eq!((answer.status, answer.etag.as_deref()), (200, Some("\"7\"")));
    assert_eq!(answer.content_type.as_deref(), Some("image/jpeg"));
    site.set("/a.jpg", Answer::status(304));
    let answer = web.get(HostKind::Image, &at(&site, "/a.jpg"), answer.etag.as_deref()).await.unwrap();
    assert!(answer.is_not_modified() && answer.bytes.is_empty());
    assert!(site.visits().last().unwrap().head.to_lowercase().contains("if-none-match: \"7\""));

    let get = async |status| {
        site.set("/b", Answer::image(b"{}".to_vec()).with_status(status));
        web.get(HostKind::Image, &at(&site, "/b"), None).await
    };
    assert!(matches!(get(404).await, Err(WebError::NotFound(_))));
    assert!(matches!(get(410).await, Err(WebError::Gone(_))));
    for status in [500, 502, 503, 504, 408] {
        assert!(matches!(get(status).await, Err(WebError::Retryable(_))), "{status}");
    }
    // Only who knows the site can say what these mean.
    for status in [400, 401, 403] {
        let answer = get(status).await.unwrap();
        assert_eq!((answer.status, answer.bytes.as_slice()), (status, b"{}".as_slice()));
    }
    drop(site);
    let error =
        web.get(HostKind::Image, &Url::parse("http://localhost:1/").unwrap(), None).await.unwrap_err();
    assert!(
        matches!(&error, WebError::Retryable(what) if what.starts_with("http://localhost:1/")),
        "{error}"
    );
}

#[tokio::test]
async fn json_is_posted_and_we_say_who_we_are() {
    let contact = Some(Url::parse("https://example.org/crawler").unwrap());
    let crawl = CrawlSettings { crawl_contact: contact, ..hasty().crawl };
    let fleet = Fleet::new(Settings { crawl, ..hasty() });
    let (web, site) = (fleet.worker("here").await, image_site().await);
    site.set("/v1/browse", Answer::image(b"{}".to_vec()));
    web.post_json(HostKind::Web, &at(&site, "/v1/browse"), &json!({"browseId": "UC1"})).await.unwrap();
    let visit = site.visits().pop().unwrap();
    assert_eq!(visit.body, br#"{"browseId":"UC1"}"#);
    let head = visit.head.to_lowercase();
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(
        head.contains("(+https://example.org/crawler)\r\n") && head.contains("user-agent: subwatch/"),
        "{head}"
    );
    assert!(!head.contains("x-goog-api-key"), "pages get no key: {head}");
    site.set("/v1/moved", Answer::redirect("/v1/browse"));
    let moved = web.post_json(HostKind::Web, &at(&site, "/v1/moved"), &json!({})).await;
    assert!(matches!(moved, Err(WebError::Refused(_))));
}
