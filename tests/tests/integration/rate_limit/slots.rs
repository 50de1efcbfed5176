//! How near and how many requests to one host may be, whoever makes them.

use std::time::Duration;

use common::{
    config::{CrawlSettings, Settings},
    store::{Admission, Limits, Verdict},
};
use crawler::http::HostKind;
use tests::{cluster::eventually, say};

use super::{Fleet, arrivals, at, get_all, host, image_site, is_full, limits, place};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_host_sees_no_two_requests_nearer_than_the_interval() {
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
    let (concurrency, interval) = (3, Duration::from_millis(5));
    let crawl = CrawlSettings {
        crawl_image_per_second: 200.0,
        crawl_image_concurrency: 3,
        ..CrawlSettings::default()
    };
    let settings = Settings { crawl, ..Settings::default() };
    let (fleet, site) = (Fleet::new(settings), image_site().await);
    let (store, workers) = (fleet.store().await, fleet.workers(4).await);

    site.hold(true);
    let url = at(&site, "/a.jpg");
    let all = tokio::spawn(async move { get_all(&workers, HostKind::Image, &url, 5).await });
    eventually("three requests are under way", async || site.under_way() == concurrency).await;
    assert!(is_full(&store, &host(&site), concurrency as u32).await);
    site.hold(false);
    all.await.unwrap();

    let visits = site.visits();
    assert_eq!(visits.len(), 60);
    assert!(visits.iter().all(|visit| visit.under_way <= concurrency), "{visits:?}");
    // What is on its way may bunch, by as many requests as there are at once; beyond that the interval holds:
    // when request j + n starts, j at least have been answered, and d more starts take d intervals.
    let times = arrivals(&visits);
    for (first, from) in times.iter().enumerate() {
        for (further, to) in times[first..].iter().enumerate().skip(concurrency) {
            let least = interval * (further - concurrency) as u32;
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
    store.finish_request(&killed, &Verdict::Ok).await.unwrap();
    assert!(is_full(&store, "host", 1).await);
    store.finish_request(&next, &Verdict::Ok).await.unwrap();
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
