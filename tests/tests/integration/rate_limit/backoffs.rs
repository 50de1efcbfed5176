//! Back-offs of hosts that block requests, and `Retry-After`.

use std::time::Duration;

use common::{
    job::crawl::Bases,
    store::{Limits, Verdict},
};
use crawler::http::{HostKind, Web, WebError};
use futures::future::join_all;
use tests::{cluster::eventually, web_server::Response};

use super::{Fleet, acquire_slot, at, get_all, host, image_site, is_full, limits};

#[tokio::test]
async fn retry_after_delays_every_worker() {
    let (fleet, site) = (Fleet::unlimited(), image_site().await);
    let url = at(&site, "/busy.jpg");
    for status in [429, 503] {
        site.set("/busy.jpg", Response::status(status).with_header("retry-after: 1"));
        let [one, other] = [fleet.worker("one").await, fleet.worker("other").await];
        let error = one.get(HostKind::Image, &url, None).await.unwrap_err();
        // A back-off spends no attempt.
        assert!(
            matches!(&error, WebError::BackedOff { reason, .. } if reason.contains("Retry-After: 1 s")),
            "{error}"
        );
        let refused = site.requests().last().unwrap().at;
        site.set("/busy.jpg", Response::image(b"image".to_vec()));
        other.get(HostKind::Image, &url, None).await.unwrap();
        let next = site.requests().last().unwrap().at;
        assert!(next - refused >= Duration::from_secs(1), "{:?}", next - refused);
    }
    assert_eq!(fleet.store().await.backoffs().await.unwrap(), []);
}

#[tokio::test]
async fn blocked_host_is_backed_off_by_all_workers_until_a_probe_succeeds() {
    let (fleet, site) = (Fleet::unlimited(), image_site().await);
    let (store, workers) = (fleet.store().await, fleet.workers(3).await);
    let url = at(&site, "/a.jpg");
    site.set("/a.jpg", Response::status(429));
    let backed_off = async |web: &Web| match web.get(HostKind::Image, &url, None).await {
        Err(WebError::BackedOff { host, until_ms, reason }) => (host, until_ms, reason),
        other => panic!("{other:?}"),
    };
    let before_ms = store.now_ms().await.unwrap();
    let (name, until_ms, reason) = backed_off(&workers[0]).await;
    assert_eq!((name, reason.as_str()), (host(&site), "the host returned 429 Too Many Requests"));
    assert!(until_ms >= before_ms + 3_600_000);
    // The other workers send no requests and report the same back-off.
    for web in &workers {
        assert_eq!(backed_off(web).await.1, until_ms);
    }
    assert_eq!(site.requests().len(), 1);
    let [backoff] = store.backoffs().await.unwrap().try_into().unwrap();
    assert_eq!((&backoff.host, &backoff.reason, backoff.until_ms), (&host(&site), &reason, until_ms));
    assert_eq!((backoff.by.as_str(), backoff.probing), ("worker-0", false));
    assert!(backoff.since_ms >= before_ms && backoff.since_ms <= until_ms);

    // Once it is over, one request probes the host while the others wait. The probe fails and renews the
    // back-off.
    let expire_backoff = async || {
        store.end_backoff(&host(&site)).await.unwrap();
        store.back_off(&host(&site), "enough", Duration::from_millis(1), "test").await.unwrap();
        eventually("the back-off is over", async || store.backoffs().await.unwrap()[0].probing).await;
    };
    expire_backoff().await;
    site.hold_responses(true);
    let tries = workers.clone().into_iter().map(|web| {
        let url = url.clone();
        tokio::spawn(async move { web.get(HostKind::Image, &url, None).await })
    });
    let tries: Vec<_> = tries.collect();
    eventually("one request probes the host", async || site.in_flight() == 1).await;
    assert!(is_full(&store, &host(&site), 9).await, "the others wait");
    site.hold_responses(false);
    for outcome in join_all(tries).await {
        assert!(matches!(outcome.unwrap(), Err(WebError::BackedOff { .. })));
    }
    assert_eq!(site.requests().len(), 2);
    assert!(store.backoffs().await.unwrap()[0].until_ms >= before_ms + 3_600_000);

    // A server error keeps the back-off; a success ends it for all workers.
    expire_backoff().await;
    site.set("/a.jpg", Response::status(500));
    let error = workers[1].get(HostKind::Image, &url, None).await.unwrap_err();
    assert!(matches!(error, WebError::Retryable(_)), "{error}");
    assert!(store.backoffs().await.unwrap()[0].probing);
    site.set("/a.jpg", Response::image(b"image".to_vec()));
    workers[2].get(HostKind::Image, &url, None).await.unwrap();
    assert_eq!(store.backoffs().await.unwrap(), []);
    get_all(&workers, HostKind::Image, &url, 1).await;
}

#[tokio::test]
async fn operator_ends_a_backoff_and_a_long_retry_after() {
    let (fleet, site) = (Fleet::unlimited(), image_site().await);
    let (store, web, url) = (fleet.store().await, fleet.worker("here").await, at(&site, "/a.jpg"));
    assert!(!store.end_backoff(&host(&site)).await.unwrap());
    // A Retry-After over a minute is a back-off, even if it exceeds the configured one.
    site.set("/a.jpg", Response::status(503).with_header("retry-after: 7200"));
    let now_ms = store.now_ms().await.unwrap();
    let error = web.get(HostKind::Image, &url, None).await.unwrap_err();
    assert!(
        matches!(&error, WebError::BackedOff { until_ms, reason, .. }
            if *until_ms >= now_ms + 7_200_000 && reason.contains("Retry-After: 7200 s")),
        "{error:?}"
    );
    site.set("/a.jpg", Response::image(b"image".to_vec()));
    assert!(store.end_backoff(&host(&site)).await.unwrap());
    web.get(HostKind::Image, &url, None).await.unwrap();
    // The parser of a body may back off the host as well.
    let error = web.back_off(HostKind::Web, &url, "it shows a captcha").await;
    assert!(
        matches!(&error, WebError::BackedOff { until_ms, .. } if *until_ms >= now_ms + 3_600_000),
        "{error:?}"
    );
    assert!(matches!(web.get(HostKind::Image, &url, None).await, Err(WebError::BackedOff { .. })));
}

#[tokio::test]
async fn success_of_a_request_started_before_the_block_keeps_the_backoff() {
    let store = Fleet::unlimited().store().await;
    let [early, refused] =
        [acquire_slot(&store, "host", limits(0, 2)).await, acquire_slot(&store, "host", limits(0, 2)).await];
    let blocked = Verdict::Blocked { reason: "enough".to_owned(), backoff: Duration::from_millis(1) };
    let until_ms = store.finish_request(&refused, &blocked).await.unwrap().unwrap();
    eventually("the back-off is over", async || store.now_ms().await.unwrap() >= until_ms).await;
    assert_eq!(store.finish_request(&early, &Verdict::Ok).await.unwrap(), Some(until_ms));
    // Only a probe ends the back-off. If its worker is killed, another request probes.
    let killed =
        acquire_slot(&store, "host", Limits { lease: Duration::from_millis(50), ..limits(0, 2) }).await;
    let probe = acquire_slot(&store, "host", limits(0, 2)).await;
    assert!(probe.started_ms() >= killed.started_ms() + 50);
    assert_eq!(store.finish_request(&killed, &Verdict::Ok).await.unwrap(), Some(until_ms));
    assert_eq!(store.finish_request(&probe, &Verdict::Ok).await.unwrap(), None);
}

#[tokio::test]
async fn consent_and_captcha_redirects_back_off_the_host() {
    let (fleet, site) = (Fleet::unlimited(), image_site().await);
    let (store, web) = (fleet.store().await, fleet.worker("here").await);
    for (target, want) in [
        ("https://consent.youtube.com/m?continue=x", "the host redirects to a consent page"),
        ("https://www.google.com/sorry/index?continue=x", "the host redirects to a captcha"),
    ] {
        site.set("/page", Response::redirect(target));
        let error = web.get(HostKind::Web, &at(&site, "/page"), None).await.unwrap_err();
        assert!(
            matches!(&error, WebError::BackedOff { host: name, reason, .. } if *name == host(&site) && reason == want),
            "{error:?}"
        );
        assert!(store.end_backoff(&host(&site)).await.unwrap());
    }
}

#[tokio::test]
async fn a_crawl_with_its_own_base_pauses_no_other() {
    let (fleet, site) = (Fleet::unlimited(), image_site().await);
    let store = fleet.store().await;
    let [own, other] = ["/own/", "/other/"].map(|path| Bases { image: at(&site, path), ..Bases::default() });
    let [one, second] = [fleet.worker("one").await, fleet.worker("second").await];
    let get = async |web: &Web, kind, path: &str| web.get(kind, &at(&site, path), None).await;
    site.set("/own/blocked.jpg", Response::status(429));
    let error = get(&one.with_bases(&own), HostKind::Image, "/own/blocked.jpg").await.unwrap_err();
    assert!(matches!(error, WebError::BackedOff { .. }), "{error}");
    // The whole fleet pauses this kind of request below this base, and nothing else.
    let error = get(&second.with_bases(&own), HostKind::Image, "/a.jpg").await.unwrap_err();
    assert!(matches!(error, WebError::BackedOff { .. }), "{error}");
    get(&second.with_bases(&other), HostKind::Image, "/a.jpg").await.unwrap();
    get(&second.with_bases(&own), HostKind::Web, "/a.jpg").await.unwrap();
    get(&second, HostKind::Image, "/a.jpg").await.unwrap();
    // A pause that the default bases caused holds for all.
    second.back_off(HostKind::Image, &at(&site, "/a.jpg"), "enough").await;
    for bases in [&own, &other, &Bases::default()] {
        let error = get(&one.with_bases(bases), HostKind::Image, "/a.jpg").await.unwrap_err();
        assert!(matches!(error, WebError::BackedOff { .. }), "{error}");
    }
    let paused: Vec<String> =
        store.backoffs().await.unwrap().into_iter().map(|backoff| backoff.host).collect();
    let name = host(&site);
    assert_eq!(paused, [name.clone(), format!("{name} image http://{name}/own/")]);
    // A successful probe ends a pause of a base, too.
    assert!(store.end_backoff(&paused[0]).await.unwrap() && store.end_backoff(&paused[1]).await.unwrap());
    store.back_off(&paused[1], "enough", Duration::from_millis(1), "test").await.unwrap();
    eventually("the pause is over", async || store.backoffs().await.unwrap()[0].probing).await;
    get(&one.with_bases(&own), HostKind::Image, "/a.jpg").await.unwrap();
    assert_eq!(store.backoffs().await.unwrap(), []);
}
