//! Allowed requests, body limits and the classification of responses.

use std::{io::Write as _, time::Duration};

use common::config::{CrawlSettings, ImageSettings, Settings};
use crawler::http::{HostKind, WebError};
use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use tests::web_server::Response;
use url::Url;

use super::{Fleet, at, host, image_site, unlimited};

#[tokio::test]
async fn redirect_needs_a_slot_at_the_target_host() {
    let (fleet, site, other) = (Fleet::unlimited(), image_site().await, image_site().await);
    let (store, web) = (fleet.store().await, fleet.worker("here").await);
    site.set("/moved.jpg", Response::redirect(at(&other, "/a.jpg").as_str()));
    let answer = web.get(HostKind::Image, &at(&site, "/moved.jpg"), None).await.unwrap();
    assert_eq!((answer.url, answer.bytes.as_slice()), (at(&other, "/a.jpg"), b"image".as_slice()));

    store.back_off(&host(&other), "enough", Duration::from_secs(60), "somebody").await.unwrap();
    let error = web.get(HostKind::Image, &at(&site, "/moved.jpg"), None).await.unwrap_err();
    assert!(matches!(&error, WebError::BackedOff { host: name, .. } if *name == host(&other)), "{error:?}");
    assert_eq!((site.requests().len(), other.requests().len()), (2, 1));
}

#[tokio::test]
async fn forbidden_urls_are_refused_directly_and_in_redirects() {
    let (fleet, site) = (Fleet::unlimited(), image_site().await);
    let web = fleet.worker("here").await;
    let private = format!("http://127.0.0.1:{}/a.jpg", site.port());
    for target in
        [private.as_str(), "http://169.254.169.254/latest", "file:///etc/passwd", "http://me:x@localhost/"]
    {
        site.set("/moved", Response::redirect(target));
        for (kind, url) in [
            (HostKind::Image, at(&site, "/moved")),
            (HostKind::Web, at(&site, "/moved")),
            (HostKind::Web, Url::parse(target).unwrap()),
        ] {
            let error = web.get(kind, &url, None).await.unwrap_err();
            assert!(matches!(&error, WebError::Refused(_)), "{url}: {error}");
        }
    }
    assert!(site.requests().iter().all(|request| ["/moved", "/robots.txt"].contains(&request.path.as_str())));
    site.set("/round", Response::redirect("/round"));
    let error = web.get(HostKind::Image, &at(&site, "/round"), None).await.unwrap_err();
    assert!(error.to_string().contains("more than 5 redirects"), "{error}");
    assert_eq!(site.requests().iter().filter(|request| request.path == "/round").count(), 6);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn body_size_limit_applies_before_and_after_decompression() {
    let images = ImageSettings { max_image_bytes: 100_000, ..ImageSettings::default() };
    let (fleet, site) = (Fleet::new(Settings { images, ..unlimited() }), image_site().await);
    let web = fleet.worker("here").await;
    let gzipped = |body: &[u8]| Response::image(gzip(body)).with_header("content-encoding: gzip");
    site.set("/gzipped.jpg", gzipped(&[7; 1000]));
    let url = at(&site, "/gzipped.jpg");
    assert_eq!(web.get(HostKind::Image, &url, None).await.unwrap().bytes, [7; 1000]);
    for (path, answer) in [
        ("/large.jpg", Response::image(vec![0; 100_001])),
        ("/endless.jpg", Response::endless()),
        ("/bomb.jpg", gzipped(&vec![0; 32 << 20])),
    ] {
        site.set(path, answer);
        let error = web.get(HostKind::Image, &at(&site, path), None).await.unwrap_err();
        assert!(matches!(&error, WebError::TooLarge(what) if what.contains(path)), "{error}");
    }
    for (path, answer) in [
        ("/broken.jpg", Response::image(b"no gzip".to_vec()).with_header("content-encoding: gzip")),
        ("/other.jpg", Response::image(b"?".to_vec()).with_header("content-encoding: br")),
    ] {
        site.set(path, answer);
        let error = web.get(HostKind::Image, &at(&site, path), None).await.unwrap_err();
        assert!(matches!(&error, WebError::Malformed(what) if what.contains(path)), "{error}");
    }
}

#[tokio::test]
async fn responses_are_classified_by_status() {
    let (fleet, site) = (Fleet::unlimited(), image_site().await);
    let web = fleet.worker("here").await;
    site.set("/a.jpg", Response::image(b"image".to_vec()).with_header("etag: \"7\""));
    let answer = web.get(HostKind::Image, &at(&site, "/a.jpg"), None).await.unwrap();
    assert_eq!((answer.status, answer.etag.as_deref()), (200, Some("\"7\"")));
    assert_eq!(answer.content_type.as_deref(), Some("image/jpeg"));
    site.set("/a.jpg", Response::status(304));
    let answer = web.get(HostKind::Image, &at(&site, "/a.jpg"), answer.etag.as_deref()).await.unwrap();
    assert!(answer.is_not_modified() && answer.bytes.is_empty());
    assert!(site.requests().last().unwrap().head.to_lowercase().contains("if-none-match: \"7\""));

    let get = async |status| {
        site.set("/b", Response::image(b"{}".to_vec()).with_status(status));
        web.get(HostKind::Image, &at(&site, "/b"), None).await
    };
    assert!(matches!(get(404).await, Err(WebError::NotFound(_))));
    assert!(matches!(get(410).await, Err(WebError::Gone(_))));
    for status in [500, 502, 503, 504, 408] {
        assert!(matches!(get(status).await, Err(WebError::Retryable(_))), "{status}");
    }
    // The meaning of these depends on the site, so the caller interprets them.
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
async fn posted_json_carries_user_agent_and_contact() {
    let contact = Some(Url::parse("https://example.org/crawler").unwrap());
    let crawl = CrawlSettings { crawl_contact: contact, ..unlimited().crawl };
    let fleet = Fleet::new(Settings { crawl, ..unlimited() });
    let (web, site) = (fleet.worker("here").await, image_site().await);
    site.set("/v1/browse", Response::image(b"{}".to_vec()));
    web.post_json(HostKind::Web, &at(&site, "/v1/browse"), &json!({"browseId": "UC1"})).await.unwrap();
    let request = site.requests().pop().unwrap();
    assert_eq!(request.body, br#"{"browseId":"UC1"}"#);
    let head = request.head.to_lowercase();
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(
        head.contains("(+https://example.org/crawler)\r\n") && head.contains("user-agent: subwatch/"),
        "{head}"
    );
    assert!(!head.contains("x-goog-api-key"), "the API key must not be sent to a web page: {head}");
    site.set("/v1/moved", Response::redirect("/v1/browse"));
    let moved = web.post_json(HostKind::Web, &at(&site, "/v1/moved"), &json!({})).await;
    assert!(matches!(moved, Err(WebError::Refused(_))));
}
