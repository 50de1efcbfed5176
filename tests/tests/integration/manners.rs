//! Manners of the whole fleet, over a real Redis and a site that takes notes: several `Web`s, each over
//! connections of its own, stand for several workers.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use common::{
    config::Settings,
    ids::SubmissionId,
    store::{Admission, Lease, Limits, QuotaDay, Spending, Store, StoreConfig, Verdict},
};
use flate2::{Compression, write::GzEncoder};
use futures::future::join_all;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;
use serde_json::json;
use tests::{
    cluster::eventually,
    environment::{Servers, number},
    say,
    site::{Answer, Site, Visit},
};
use url::Url;
use worker::crawl::web::{HostKind, Web, WebError};

const KEY: &str = "hunter2-hunter2";

/// Workers that share a store and settings.
struct Fleet {
    prefix: String,
    settings: Settings,
}

impl Fleet {
    fn new(settings: Settings) -> Self {
        let settings =
            Settings { fetch_allow: "localhost".to_owned(), youtube_api_key: Some(KEY.into()), ..settings };
        Self { prefix: format!("manners-{}:", SubmissionId::now()), settings }
    }

    /// A fleet that is as fast as may be.
    fn hasty() -> Self {
        Self::new(hasty())
    }

    async fn store(&self) -> Store {
        let url = Servers::from_environment().redis_url.as_str().into();
        let config = StoreConfig { url, authorities: None, key_prefix: self.prefix.clone() };
        Store::connect(&config).await.expect("Redis answers")
    }

    async fn worker(&self, name: &str) -> Web {
        Web::new(&self.settings, self.store().await, name)
    }

    async fn workers(&self, count: usize) -> Vec<Web> {
        join_all((0..count).map(async |at| self.worker(&format!("worker-{at}")).await)).await
    }
}

fn hasty() -> Settings {
    Settings {
        crawl_web_per_second: 1000.0,
        crawl_api_per_second: 1000.0,
        crawl_image_per_second: 1000.0,
        ..Settings::default()
    }
}

fn at(site: &Site, path: &str) -> Url {
    Url::parse(&format!("http://localhost:{}{path}", site.port())).unwrap()
}

fn host(site: &Site) -> String {
    format!("localhost:{}", site.port())
}

async fn image_site() -> Site {
    Site::start(vec![("/a.jpg", Answer::image(b"image".to_vec()))]).await
}

fn limits(min_interval_ms: u64, at_once: u32) -> Limits {
    let lease = Duration::from_secs(60);
    Limits { min_interval: Duration::from_millis(min_interval_ms), at_once, lease }
}

/// Asks for a place as often as the store says.
async fn place(store: &Store, host: &str, limits: Limits) -> Lease {
    loop {
        match store.admit(host, limits, "here").await.unwrap() {
            Admission::Go(lease) => return lease,
            Admission::Wait(time) => tokio::time::sleep(time).await,
            Admission::Paused { reason, .. } => panic!("paused: {reason}"),
        }
    }
}

/// Whether all places of a host are taken.
async fn is_full(store: &Store, host: &str, at_once: u32) -> bool {
    loop {
        match store.admit(host, limits(0, at_once), "here").await.unwrap() {
            Admission::Go(lease) => {
                store.finished(&lease, &Verdict::Failed).await.unwrap();
                return false;
            }
            // Times are rounded up, so even without an interval the next request may be a moment away.
            Admission::Wait(time) if time <= Duration::from_millis(2) => tokio::time::sleep(time).await,
            Admission::Wait(_) => return true,
            Admission::Paused { reason, .. } => panic!("paused: {reason}"),
        }
    }
}

/// Has every worker get `url` as often as given, three requests at a time each.
async fn get_all(workers: &[Web], kind: HostKind, url: &Url, times: usize) {
    let rounds = workers.iter().flat_map(|web| [web; 3]).map(async |web| {
        for _ in 0..times {
            web.get(kind, url, None).await.unwrap();
        }
    });
    join_all(rounds).await;
}

fn arrivals(visits: &[Visit]) -> Vec<Instant> {
    let mut times: Vec<Instant> = visits.iter().map(|visit| visit.at).collect();
    times.sort();
    times
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_host_sees_no_two_requests_nearer_than_the_interval() {
    let interval = Duration::from_millis(20);
    let settings = Settings { crawl_image_per_second: 50.0, crawl_image_at_once: 1, ..Settings::default() };
    let (fleet, site) = (Fleet::new(settings), image_site().await);
    let workers = fleet.workers(4).await;
    get_all(&workers, HostKind::Image, &at(&site, "/a.jpg"), 5).await;

    let visits = site.visits();
    assert_eq!(visits.len(), 60);
    assert!(visits.iter().all(|visit| visit.under_way == 1));
    let gaps = arrivals(&visits).windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>();
    let (least, all) = (gaps.iter().min().unwrap(), gaps.iter().sum::<Duration>());
    assert!(*least >= interval, "{least:?}");
    say(&format!("60 requests of 4 workers: {least:?} apart at least, {:?} on average", all / 59));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_host_bears_as_many_requests_at_once_as_it_is_said_to_and_no_more() {
    let (at_once, interval) = (3, Duration::from_millis(5));
    let settings = Settings { crawl_image_per_second: 200.0, crawl_image_at_once: 3, ..Settings::default() };
    let (fleet, site) = (Fleet::new(settings), image_site().await);
    let (store, workers) = (fleet.store().await, fleet.workers(4).await);

    site.hold(true);
    let url = at(&site, "/a.jpg");
    let all = tokio::spawn(async move { get_all(&workers, HostKind::Image, &url, 5).await });
    eventually("three requests are under way", async || site.under_way() == at_once).await;
    assert!(is_full(&store, &host(&site), at_once as u32).await);
    site.hold(false);
    all.await.unwrap();

    let visits = site.visits();
    assert_eq!(visits.len(), 60);
    assert!(visits.iter().all(|visit| visit.under_way <= at_once), "{visits:?}");
    // What is on its way may bunch, by as many requests as there are at once; beyond that the interval holds:
    // when request j + n starts, j at least have been answered, and d more starts take d intervals.
    let times = arrivals(&visits);
    for (first, from) in times.iter().enumerate() {
        for (further, to) in times[first..].iter().enumerate().skip(at_once) {
            let least = interval * (further - at_once) as u32;
            assert!(*to - *from >= least, "requests {first} and {further} more: {:?}", *to - *from);
        }
    }
}

#[tokio::test]
async fn the_place_of_a_worker_that_was_killed_is_taken_again() {
    let store = Fleet::hasty().store().await;
    let lease = Duration::from_millis(300);
    let short = Limits { lease, ..limits(1, 1) };
    // Nobody ever finishes this request.
    let killed = place(&store, "host", short).await;
    assert!(matches!(store.admit("host", short, "other").await.unwrap(), Admission::Wait(_)));
    let next = place(&store, "host", short).await;
    assert!(next.started_ms() - killed.started_ms() >= 300);
    // What comes of the first one after all takes nothing from the second.
    store.finished(&killed, &Verdict::Ok).await.unwrap();
    assert!(is_full(&store, "host", 1).await);
    store.finished(&next, &Verdict::Ok).await.unwrap();
    assert!(!is_full(&store, "host", 1).await);
}

#[tokio::test]
async fn a_request_that_is_given_up_leaves_no_place_behind() {
    let (fleet, site) = (Fleet::hasty(), image_site().await);
    let (store, web) = (fleet.store().await, fleet.worker("here").await);
    site.hold(true);
    let url = at(&site, "/a.jpg");
    let getting = tokio::spawn(async move { web.get(HostKind::Image, &url, None).await });
    eventually("the request is under way", async || site.under_way() == 1).await;
    assert!(is_full(&store, &host(&site), 1).await);
    getting.abort();
    eventually("its place is free", async || !is_full(&store, &host(&site), 1).await).await;
}

#[tokio::test]
async fn requests_that_are_given_up_while_they_ask_leave_no_place_behind() {
    let (fleet, site) = (Fleet::hasty(), image_site().await);
    let (store, web, url) = (fleet.store().await, fleet.worker("here").await, at(&site, "/a.jpg"));
    for turn in 0..50 {
        // Given up after a few polls, at whatever point that is.
        let mut getting = Box::pin(web.get(HostKind::Image, &url, None));
        for _ in 0..turn {
            if futures::poll!(&mut getting).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    eventually("all places are free", async || !is_full(&store, &host(&site), 1).await).await;
    web.get(HostKind::Image, &url, None).await.unwrap();
}

#[tokio::test]
async fn every_worker_waits_as_long_as_a_host_asks_one_of_them_to() {
    let (fleet, site) = (Fleet::hasty(), image_site().await);
    let url = at(&site, "/busy.jpg");
    for status in [429, 503] {
        site.set("/busy.jpg", Answer::status(status).with_header("retry-after: 1"));
        let [one, other] = [fleet.worker("one").await, fleet.worker("other").await];
        let error = one.get(HostKind::Image, &url, None).await.unwrap_err();
        assert!(matches!(&error, WebError::Retryable(what) if what.starts_with(url.as_str())), "{error}");
        let refused = site.visits().last().unwrap().at;
        site.set("/busy.jpg", Answer::image(b"image".to_vec()));
        other.get(HostKind::Image, &url, None).await.unwrap();
        let next = site.visits().last().unwrap().at;
        assert!(next - refused >= Duration::from_secs(1), "{:?}", next - refused);
    }
    assert_eq!(fleet.store().await.pauses().await.unwrap(), []);
}

#[tokio::test]
async fn a_host_that_has_had_enough_is_left_alone_by_all_until_one_request_succeeds() {
    let (fleet, site) = (Fleet::hasty(), image_site().await);
    let (store, workers) = (fleet.store().await, fleet.workers(3).await);
    let url = at(&site, "/a.jpg");
    site.set("/a.jpg", Answer::status(429));
    let paused = async |web: &Web| match web.get(HostKind::Image, &url, None).await {
        Err(WebError::Paused { host, until_ms, reason }) => (host, until_ms, reason),
        other => panic!("{other:?}"),
    };
    let before_ms = store.now_ms().await.unwrap();
    let (name, until_ms, reason) = paused(&workers[0]).await;
    assert_eq!((name, reason.as_str()), (host(&site), "it answers 429 Too Many Requests"));
    assert!(until_ms >= before_ms + 3_600_000);
    // Nobody asks the site, and everybody may know why.
    for web in &workers {
        assert_eq!(paused(web).await.1, until_ms);
    }
    assert_eq!(site.visits().len(), 1);
    let [pause] = store.pauses().await.unwrap().try_into().unwrap();
    assert_eq!((&pause.host, &pause.reason, pause.until_ms), (&host(&site), &reason, until_ms));
    assert_eq!((pause.by.as_str(), pause.trying), ("worker-0", false));
    assert!(pause.since_ms >= before_ms && pause.since_ms <= until_ms);

    // Once it is over one tries, while the others wait; it fails, and all are paused again.
    let over = async || {
        store.resume_source(&host(&site)).await.unwrap();
        store.pause_source(&host(&site), "enough", Duration::from_millis(1), "test").await.unwrap();
        eventually("the pause is over", async || store.pauses().await.unwrap()[0].trying).await;
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
        assert!(matches!(outcome.unwrap(), Err(WebError::Paused { .. })));
    }
    assert_eq!(site.visits().len(), 2);
    assert!(store.pauses().await.unwrap()[0].until_ms >= before_ms + 3_600_000);

    // A host that is merely out of order proves nothing; a success ends it for all.
    over().await;
    site.set("/a.jpg", Answer::status(500));
    let error = workers[1].get(HostKind::Image, &url, None).await.unwrap_err();
    assert!(matches!(error, WebError::Retryable(_)), "{error}");
    assert!(store.pauses().await.unwrap()[0].trying);
    site.set("/a.jpg", Answer::image(b"image".to_vec()));
    workers[2].get(HostKind::Image, &url, None).await.unwrap();
    assert_eq!(store.pauses().await.unwrap(), []);
    get_all(&workers, HostKind::Image, &url, 1).await;
}

#[tokio::test]
async fn an_operator_ends_a_pause_and_a_long_wait() {
    let (fleet, site) = (Fleet::hasty(), image_site().await);
    let (store, web, url) = (fleet.store().await, fleet.worker("here").await, at(&site, "/a.jpg"));
    assert!(!store.resume_source(&host(&site)).await.unwrap());
    // A wait that is longer than a minute is a pause; the host may ask for more than our own.
    site.set("/a.jpg", Answer::status(503).with_header("retry-after: 7200"));
    let now_ms = store.now_ms().await.unwrap();
    let error = web.get(HostKind::Image, &url, None).await.unwrap_err();
    assert!(
        matches!(&error, WebError::Paused { until_ms, reason, .. }
            if *until_ms >= now_ms + 7_200_000 && reason.contains("wants 7200s without us")),
        "{error:?}"
    );
    site.set("/a.jpg", Answer::image(b"image".to_vec()));
    assert!(store.resume_source(&host(&site)).await.unwrap());
    web.get(HostKind::Image, &url, None).await.unwrap();
    // What a body says is for its reader to find; it pauses the host as well.
    let error = web.trouble(&url, "it shows a captcha").await;
    assert!(
        matches!(&error, WebError::Paused { until_ms, .. } if *until_ms >= now_ms + 3_600_000),
        "{error:?}"
    );
    assert!(matches!(web.get(HostKind::Image, &url, None).await, Err(WebError::Paused { .. })));
}

#[tokio::test]
async fn a_request_from_before_the_trouble_does_not_end_the_pause() {
    let store = Fleet::hasty().store().await;
    let [early, refused] =
        [place(&store, "host", limits(0, 2)).await, place(&store, "host", limits(0, 2)).await];
    let trouble = Verdict::Trouble { reason: "enough".to_owned(), pause: Duration::from_millis(1) };
    let until_ms = store.finished(&refused, &trouble).await.unwrap().unwrap();
    eventually("the pause is over", async || store.now_ms().await.unwrap() >= until_ms).await;
    assert_eq!(store.finished(&early, &Verdict::Ok).await.unwrap(), Some(until_ms));
    // Only one that tries again does; were it killed, another would try.
    let killed = place(&store, "host", Limits { lease: Duration::from_millis(50), ..limits(0, 2) }).await;
    let probe = place(&store, "host", limits(0, 2)).await;
    assert!(probe.started_ms() >= killed.started_ms() + 50);
    assert_eq!(store.finished(&killed, &Verdict::Ok).await.unwrap(), Some(until_ms));
    assert_eq!(store.finished(&probe, &Verdict::Ok).await.unwrap(), None);
}

#[tokio::test]
async fn pages_for_people_alone_pause_the_host() {
    let (fleet, site) = (Fleet::hasty(), image_site().await);
    let (store, web) = (fleet.store().await, fleet.worker("here").await);
    for (target, want) in [
        ("https://consent.youtube.com/m?continue=x", "it asks for consent before it shows anything"),
        ("https://www.google.com/sorry/index?continue=x", "it asks for a captcha"),
    ] {
        site.set("/page", Answer::redirect(target));
        let error = web.get(HostKind::Web, &at(&site, "/page"), None).await.unwrap_err();
        assert!(
            matches!(&error, WebError::Paused { host: name, reason, .. } if *name == host(&site) && reason == want),
            "{error:?}"
        );
        assert!(store.resume_source(&host(&site)).await.unwrap());
    }
}

#[tokio::test]
async fn a_redirect_needs_a_place_at_the_host_it_leads_to() {
    let (fleet, site, other) = (Fleet::hasty(), image_site().await, image_site().await);
    let (store, web) = (fleet.store().await, fleet.worker("here").await);
    site.set("/moved.jpg", Answer::redirect(at(&other, "/a.jpg").as_str()));
    let answer = web.get(HostKind::Image, &at(&site, "/moved.jpg"), None).await.unwrap();
    assert_eq!((answer.url, answer.bytes.as_slice()), (at(&other, "/a.jpg"), b"image".as_slice()));

    store.pause_source(&host(&other), "enough", Duration::from_secs(60), "somebody").await.unwrap();
    let error = web.get(HostKind::Image, &at(&site, "/moved.jpg"), None).await.unwrap_err();
    assert!(matches!(&error, WebError::Paused { host: name, .. } if *name == host(&other)), "{error:?}");
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
    let (fleet, site) = (Fleet::new(Settings { max_image_bytes: 100_000, ..hasty() }), image_site().await);
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
    let fleet = Fleet::new(Settings { crawl_contact: contact, ..hasty() });
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
                matches!(&error, WebError::Refused(what) if what.contains("disallows '/youtubei/' to subwatch")),
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
            matches!(&error, WebError::Retryable(what) if what.contains("/robots.txt answers 500")),
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
    assert!(matches!(&error, WebError::Refused(what) if what.contains("disallows '/a'")), "{error}");
    let site = image_site().await;
    site.set("/robots.txt", Answer::redirect("http://127.0.0.1:1/robots.txt"));
    let error = web.get(HostKind::Web, &at(&site, "/a.jpg"), None).await.unwrap_err();
    assert!(error.to_string().contains("no public address"), "{error}");
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

#[tokio::test]
async fn the_quota_of_a_key_is_spent_by_all_and_never_exceeded() {
    let fleet = Fleet::new(Settings { youtube_quota_units: 7, ..hasty() });
    let (store, workers, site) = (fleet.store().await, fleet.workers(3).await, image_site().await);
    let (url, kind) = (at(&site, "/a.jpg"), HostKind::Api { units: 2 });
    let answers =
        join_all(workers.iter().flat_map(|web| [web; 3]).map(|web| web.get(kind, &url, None))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
    for error in answers.into_iter().filter_map(Result::err) {
        let text = error.to_string();
        assert!(text.contains("has spent 6 of 7 units") && !text.contains(KEY), "{text}");
        let now_ms = store.now_ms().await.unwrap();
        assert!(matches!(error, WebError::Paused { until_ms, .. } if until_ms > now_ms));
    }
    let visits = site.visits();
    assert_eq!(visits.len(), 3);
    assert!(visits.iter().all(|visit| visit.head.contains(&format!("x-goog-api-key: {KEY}\r\n"))));
    // A smaller request still fits; what the API itself says outweighs what was counted.
    workers[0].get(HostKind::Api { units: 1 }, &url, None).await.unwrap();
    let error = workers[0].quota_exceeded().await.to_string();
    assert!(error.contains("the YouTube Data API") && !error.contains(KEY), "{error}");
    let [entry] = store.quota().await.unwrap().try_into().unwrap();
    assert_eq!((entry.used, entry.limit, entry.refused), (7, 7, true));
    assert!(!entry.key_hash.contains(KEY) && entry.key_hash.len() == 12);
    // No place was left behind.
    assert!(!is_full(&store, &host(&site), 1).await);
}

#[tokio::test]
async fn a_quota_begins_anew_with_the_day_and_a_refused_key_rests_until_then() {
    let store = Fleet::hasty().store().await;
    let now_ms = store.now_ms().await.unwrap();
    let day =
        |date: &str, hours: u64| QuotaDay { date: date.to_owned(), resets_at_ms: now_ms + hours * 3_600_000 };
    // The clock goes back in the night to 2 November: 25 hours.
    let (today, tomorrow) = (day("2026-11-01", 25), day("2026-11-02", 49));
    let spend = async |day: &QuotaDay, units| store.spend("key", day, units, 100).await.unwrap();
    let spent = |used, day: &QuotaDay| Spending::Spent { used, resets_at_ms: day.resets_at_ms };
    let exhausted = |used, day: &QuotaDay| Spending::Exhausted { used, resets_at_ms: day.resets_at_ms };
    assert_eq!(spend(&today, 99).await, spent(99, &today));
    assert_eq!(spend(&today, 2).await, exhausted(99, &today));
    assert_eq!(spend(&today, 1).await, spent(100, &today));
    assert_eq!(store.spend("other", &today, 1, 100).await.unwrap(), spent(1, &today));

    assert_eq!(spend(&tomorrow, 60).await, spent(60, &tomorrow));
    // Whoever is late spends from the new day, too.
    assert_eq!(spend(&today, 41).await, exhausted(60, &tomorrow));
    assert_eq!(store.exhaust("key", &tomorrow, 100).await.unwrap(), tomorrow.resets_at_ms);
    assert_eq!(spend(&tomorrow, 1).await, exhausted(60, &tomorrow));
    let next = day("2026-11-03", 73);
    assert_eq!(spend(&next, 1).await, spent(1, &next));
    // Days that are over are not shown.
    store.spend("old", &QuotaDay { resets_at_ms: now_ms, ..today }, 1, 100).await.unwrap();
    let keys: Vec<String> = store.quota().await.unwrap().into_iter().map(|entry| entry.key_hash).collect();
    assert_eq!(keys, ["key", "other"]);
}

/// What the store should know of a host, in the test's own words.
#[derive(Default)]
struct Model {
    started_ms: Option<u64>,
    not_before_ms: u64,
    under_way: Vec<UnderWay>,
    paused_until_ms: u64,
}

struct UnderWay {
    lease: Lease,
    expires_ms: u64,
    /// Whether it tries if a pause can end.
    is_probe: bool,
}

/// Random requests, ends, deaths and refusals: whoever is let in is let in rightly, and somebody always is in
/// the end. Another seed: `SUBWATCH_TEST_SEED`.
#[tokio::test]
async fn whatever_happens_nobody_is_let_in_who_must_wait() {
    let seed = number("SUBWATCH_TEST_SEED").unwrap_or_else(rand::random);
    say(&format!("SUBWATCH_TEST_SEED={seed}"));
    let mut random = ChaCha12Rng::seed_from_u64(seed);
    let store = Fleet::hasty().store().await;
    for at_once in [1, 2, 5] {
        let host = format!("host-{at_once}");
        let limits = Limits { lease: Duration::from_millis(40), ..limits(3, at_once) };
        let mut model = Model::default();
        let mut admitted = 0;
        while admitted < 150 {
            match store.admit(&host, limits, "here").await.unwrap() {
                Admission::Go(lease) => {
                    admitted += 1;
                    let start_ms = lease.started_ms();
                    // The start is rounded up to a millisecond.
                    model.under_way.retain(|request| request.expires_ms > start_ms);
                    assert!(
                        model.under_way.len() < at_once as usize,
                        "{} are under way",
                        model.under_way.len()
                    );
                    assert!(model.started_ms.is_none_or(|before| start_ms >= before + 3));
                    assert!(start_ms >= model.not_before_ms && start_ms >= model.paused_until_ms);
                    assert!(!model.under_way.iter().any(|request| request.is_probe), "two try at once");
                    model.started_ms = Some(start_ms);
                    let is_probe = model.paused_until_ms > 0;
                    model.under_way.push(UnderWay { lease, expires_ms: start_ms + 40, is_probe });
                }
                Admission::Wait(time) => {
                    assert!(time <= Duration::from_millis(60), "{time:?}");
                    if random.random_bool(0.5) {
                        tokio::time::sleep(time).await;
                    }
                }
                Admission::Paused { until_ms, .. } => assert_eq!(until_ms, model.paused_until_ms),
            }
            if model.under_way.is_empty() || random.random_bool(0.4) {
                continue;
            }
            let chosen = random.random_range(0..model.under_way.len());
            let verdict = match random.random_range(0..10) {
                // Killed: its lease must run out.
                0 => continue,
                1 => Verdict::RetryAfter(Duration::from_millis(20)),
                2 => Verdict::Trouble { reason: "enough".to_owned(), pause: Duration::from_millis(20) },
                3 | 4 => Verdict::Failed,
                _ => Verdict::Ok,
            };
            let UnderWay { lease, is_probe, .. } = model.under_way.swap_remove(chosen);
            let before_ms = store.now_ms().await.unwrap();
            let until_ms = store.finished(&lease, &verdict).await.unwrap();
            match verdict {
                Verdict::RetryAfter(_) => model.not_before_ms = model.not_before_ms.max(before_ms + 20),
                Verdict::Trouble { .. } => {
                    assert!(until_ms.unwrap() >= before_ms + 20);
                    model.under_way.iter_mut().for_each(|request| request.is_probe = false);
                }
                // Unless its lease ran out before.
                Verdict::Ok if is_probe => {
                    assert!(until_ms.is_none() || store.now_ms().await.unwrap() >= lease.started_ms() + 40);
                }
                Verdict::Ok | Verdict::Failed => {
                    assert_eq!(until_ms.unwrap_or_default(), model.paused_until_ms);
                }
            }
            model.paused_until_ms = until_ms.unwrap_or_default();
        }
    }
}
