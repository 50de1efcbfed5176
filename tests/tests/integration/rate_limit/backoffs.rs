//! Hosts that have had enough, or ask for patience.

use std::time::Duration;

use common::store::{Limits, Verdict};
use crawler::http::{HostKind, Web, WebError};
use futures::future::join_all;
use tests::{cluster::eventually, site::Answer};

use super::{Fleet, at, get_all, host, image_site, is_full, limits, place};

#[tokio::test]
async fn every_worker_waits_as_long_as_a_host_asks_one_of_them_to() {
    let (fleet, site) = (Fleet::hasty(), image_site().await);
    let url = at(&site, "/busy.jpg");
    for status in [429, 503] {
        site.set("/busy.jpg", Answer::status(status).with_header("retry-after: 1"));
        let [one, other] = [fleet.worker("one").await, fleet.worker("other").await];
        let error = one.get(HostKind::Image, &url, None).await.unwrap_err();
        // Nobody is to blame, so it costs no attempt.
        assert!(
            matches!(&error, WebError::BackedOff { reason, .. } if reason.contains("Retry-After: 1 s")),
            "{error}"
        );
        let refused = site.visits().last().unwrap().at;
        site.set("/busy.jpg", Answer::image(b"image".to_vec()));
        other.get(HostKind::Image, &url, None).await.unwrap();
        let next = site.visits().last().unwrap().at;
        assert!(next - refused >= Duration::from_secs(1), "{:?}", next - refused);
    }
    assert_eq!(fleet.store().await.backoffs().await.unwrap(), []);
}

#[tokio::test]
async fn a_host_that_has_had_enough_is_left_alone_by_all_until_one_request_succeeds() {
    let (fleet, site) = (Fleet::hasty(), image_site().await);
    let (store, workers) = (fleet.store().await, fleet.workers(3).await);
    let url = at(&site, "/a.jpg");
    site.set("/a.jpg", Answer::status(429));
    let backed_off = async |web: &Web| match web.get(HostKind::Image, &url, None).await {
        Err(WebError::BackedOff { host, until_ms, reason }) => (host, until_ms, reason),
        other => panic!("{other:?}"),
    };
    let before_ms = store.now_ms().await.unwrap();
    let (name, until_ms, reason) = backed_off(&workers[0]).await;
    assert_eq!((name, reason.as_str()), (host(&site), "the host returned 429 Too Many Requests"));
    assert!(until_ms >= before_ms + 3_600_000);
    // Nobody asks the site, and everybody may know why.
    for web in &workers {
        assert_eq!(backed_off(web).await.1, until_ms);
    }
    assert_eq!(site.visits().len(), 1);
    let [pause] = store.backoffs().await.unwrap().try_into().unwrap();
    assert_eq!((&pause.host, &pause.reason, pause.until_ms), (&host(&site), &reason, until_ms));
    assert_eq!((pause.by.as_str(), pause.probing), ("worker-0", false));
    assert!(pause.since_ms >= before_ms && pause.since_ms <= until_ms);

    // Once it is over one tries, while the others wait; it fails, and all are backed_off again.
    let over = async || {
        store.end_backoff(&host(&site)).await.unwrap();
        store.back_off(&host(&site), "enough", Duration::from_millis(1), "test").await.unwrap();
        eventually("the pause is over", async || store.backoffs().await.unwrap()[0].probing).await;
    };
    over().await;
    site.hold(true);
    let tries = workers.clone().into_iter().map(|web| {
        let url = url.clone();
        tokio::spawn(async move { web.get(HostKind::Image, &url, None).await })
    });
    let tries: Vec<_> = tries.collect();
    eventually("one request tries", async || site.under_way() == 1).await;
    assert!(is_full(&store, &host(&site), 9).await, "the others wait");
    site.hold(false);
    for outcome in join_all(tries).await {
        assert!(matches!(outcome.unwrap(), Err(WebError::BackedOff { .. })));
    }
    assert_eq!(site.visits().len(), 2);
    assert!(store.backoffs().await.unwrap()[0].until_ms >= before_ms + 3_600_000);

    // A host that is merely out of order proves nothing; a success ends it for all.
    over().await;
    site.set("/a.jpg", Answer::status(500));
    let error = workers[1].get(HostKind::Image, &url, None).await.unwrap_err();
    assert!(matches!(error, WebError::Retryable(_)), "{error}");
    assert!(store.backoffs().await.unwrap()[0].probing);
    site.set("/a.jpg", Answer::image(b"image".to_vec()));
    workers[2].get(HostKind::Image, &url, None).await.unwrap();
    assert_eq!(store.backoffs().await.unwrap(), []);
    get_all(&workers, HostKind::Image, &url, 1).await;
}

#[tokio::test]
async fn an_operator_ends_a_pause_and_a_long_wait() {
    let (fleet, site) = (Fleet::hasty(), image_site().await);
    let (store, web, url) = (fleet.store().await, fleet.worker("here").await, at(&site, "/a.jpg"));
    assert!(!store.end_backoff(&host(&site)).await.unwrap());
    // A wait that is longer than a minute is a pause; the host may ask for more than our own.
    site.set("/a.jpg", Answer::status(503).with_header("retry-after: 7200"));
    let now_ms = store.now_ms().await.unwrap();
    let error = web.get(HostKind::Image, &url, None).await.unwrap_err();
    assert!(
        matches!(&error, WebError::BackedOff { until_ms, reason, .. }
            if *until_ms >= now_ms + 7_200_000 && reason.contains("Retry-After: 7200 s")),
        "{error:?}"
    );
    site.set("/a.jpg", Answer::image(b"image".to_vec()));
    assert!(store.end_backoff(&host(&site)).await.unwrap());
    web.get(HostKind::Image, &url, None).await.unwrap();
    // What a body says is for its reader to find; it pauses the host as well.
    let error = web.back_off(&url, "it shows a captcha").await;
    assert!(
        matches!(&error, WebError::BackedOff { until_ms, .. } if *until_ms >= now_ms + 3_600_000),
        "{error:?}"
    );
    assert!(matches!(web.get(HostKind::Image, &url, None).await, Err(WebError::BackedOff { .. })));
}

#[tokio::test]
async fn a_request_from_before_the_trouble_does_not_end_the_pause() {
    let store = Fleet::hasty().store().await;
    let [early, refused] =
        [place(&store, "host", limits(0, 2)).await, place(&store, "host", limits(0, 2)).await];
    let trouble = Verdict::Blocked { reason: "enough".to_owned(), backoff: Duration::from_millis(1) };
    let until_ms = store.finish_request(&refused, &trouble).await.unwrap().unwrap();
    eventually("the pause is over", async || store.now_ms().await.unwrap() >= until_ms).await;
    assert_eq!(store.finish_request(&early, &Verdict::Ok).await.unwrap(), Some(until_ms));
    // Only one that tries again does; were it killed, another would try.
    let killed = place(&store, "host", Limits { lease: Duration::from_millis(50), ..limits(0, 2) }).await;
    let probe = place(&store, "host", limits(0, 2)).await;
    assert!(probe.started_ms() >= killed.started_ms() + 50);
    assert_eq!(store.finish_request(&killed, &Verdict::Ok).await.unwrap(), Some(until_ms));
    assert_eq!(store.finish_request(&probe, &Verdict::Ok).await.unwrap(), None);
}

#[tokio::test]
async fn pages_for_people_alone_pause_the_host() {
    let (fleet, site) = (Fleet::hasty(), image_site().await);
    let (store, web) = (fleet.store().await, fleet.worker("here").await);
    for (target, want) in [
        ("https://consent.youtube.com/m?continue=x", "the host redirects to a consent page"),
        ("https://www.google.com/sorry/index?continue=x", "the host redirects to a captcha"),
    ] {
        site.set("/page", Answer::redirect(target));
        let error = web.get(HostKind::Web, &at(&site, "/page"), None).await.unwrap_err();
        assert!(
            matches!(&error, WebError::BackedOff { host: name, reason, .. } if *name == host(&site) && reason == want),
            "{error:?}"
        );
        assert!(store.end_backoff(&host(&site)).await.unwrap());
    }
}
