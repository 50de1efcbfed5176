//! Interval and concurrency of the whole fleet's requests to one host.

use std::time::Duration;

use common::{
    config::{CrawlSettings, Settings},
    store::{Admission, Limits, Verdict},
};
use crawler::http::HostKind;
use tests::{cluster::eventually, print_line};

use super::{Fleet, acquire_slot, arrivals, at, get_all, host, image_site, is_full, limits};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_to_a_host_are_spaced_by_the_minimum_interval() {
    let interval = Duration::from_millis(20);
    let crawl = CrawlSettings {
        crawl_image_per_second: 50.0,
        crawl_image_concurrency: 1,
        ..CrawlSettings::default()
    };
    let settings = Settings { crawl, ..Settings::default() };
    let (fleet, site) = (Fleet::new(settings), image_site().await);
    let workers = fleet.workers(4).await;
    get_all(&workers, HostKind::Image, &at(&site, "/a.jpg"), 5).await;

    let requests = site.requests();
    assert_eq!(requests.len(), 60);
    assert!(requests.iter().all(|request| request.in_flight == 1));
    let gaps = arrivals(&requests).windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>();
    let (least, all) = (gaps.iter().min().unwrap(), gaps.iter().sum::<Duration>());
    assert!(*least >= interval, "{least:?}");
    print_line(&format!("60 requests by 4 workers: minimum interval {least:?}, mean {:?}", all / 59));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_requests_to_a_host_never_exceed_the_limit() {
    let (concurrency, interval) = (3, Duration::from_millis(5));
    let crawl = CrawlSettings {
        crawl_image_per_second: 200.0,
        crawl_image_concurrency: 3,
        ..CrawlSettings::default()
    };
    let settings = Settings { crawl, ..Settings::default() };
    let (fleet, site) = (Fleet::new(settings), image_site().await);
    let (store, workers) = (fleet.store().await, fleet.workers(4).await);

    site.hold_responses(true);
    let url = at(&site, "/a.jpg");
    let all = tokio::spawn(async move { get_all(&workers, HostKind::Image, &url, 5).await });
    eventually("three requests are in flight", async || site.in_flight() == concurrency).await;
    assert!(is_full(&store, &host(&site), concurrency as u32).await);
    site.hold_responses(false);
    all.await.unwrap();

    let requests = site.requests();
    assert_eq!(requests.len(), 60);
    assert!(requests.iter().all(|request| request.in_flight <= concurrency), "{requests:?}");
    // Requests in transit may arrive in bursts of up to the concurrency; beyond that, the interval holds:
    // when request j + n starts, at least j have been answered, and d more starts take d intervals.
    let times = arrivals(&requests);
    for (first, from) in times.iter().enumerate() {
        for (further, to) in times[first..].iter().enumerate().skip(concurrency) {
            let least = interval * (further - concurrency) as u32;
            assert!(*to - *from >= least, "requests {first} and {further} more: {:?}", *to - *from);
        }
    }
}

#[tokio::test]
async fn slot_of_a_killed_worker_is_reused_after_its_lease() {
    let store = Fleet::unlimited().store().await;
    let lease = Duration::from_millis(300);
    let short = Limits { lease, ..limits(1, 1) };
    // This request is never finished.
    let killed = acquire_slot(&store, "host", short).await;
    assert!(matches!(store.admit("host", short, "other").await.unwrap(), Admission::Wait(_)));
    let next = acquire_slot(&store, "host", short).await;
    assert!(next.started_ms() - killed.started_ms() >= 300);
    // A late finish of the first request must not free the second one's slot.
    store.finish_request(&killed, &Verdict::Ok).await.unwrap();
    assert!(is_full(&store, "host", 1).await);
    store.finish_request(&next, &Verdict::Ok).await.unwrap();
    assert!(!is_full(&store, "host", 1).await);
}

#[tokio::test]
async fn aborted_request_frees_its_slot() {
    let (fleet, site) = (Fleet::unlimited(), image_site().await);
    let (store, web) = (fleet.store().await, fleet.worker("here").await);
    site.hold_responses(true);
    let url = at(&site, "/a.jpg");
    let getting = tokio::spawn(async move { web.get(HostKind::Image, &url, None).await });
    eventually("the request is in flight", async || site.in_flight() == 1).await;
    assert!(is_full(&store, &host(&site), 1).await);
    getting.abort();
    eventually("its slot is free", async || !is_full(&store, &host(&site), 1).await).await;
}

#[tokio::test]
async fn requests_aborted_during_admission_free_their_slots() {
    let (fleet, site) = (Fleet::unlimited(), image_site().await);
    let (store, web, url) = (fleet.store().await, fleet.worker("here").await, at(&site, "/a.jpg"));
    for polls in 0..50 {
        // Aborted after a few polls, so at different stages.
        let mut getting = Box::pin(web.get(HostKind::Image, &url, None));
        for _ in 0..polls {
            if futures::poll!(&mut getting).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    eventually("all slots are free", async || !is_full(&store, &host(&site), 1).await).await;
    web.get(HostKind::Image, &url, None).await.unwrap();
}
