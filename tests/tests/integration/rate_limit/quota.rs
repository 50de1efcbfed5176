//! The quota of an API key, shared by all workers.

use common::{
    config::{CrawlSettings, Settings},
    store::{QuotaDay, Spending},
};
use crawler::http::{HostKind, WebError};
use futures::future::join_all;

use super::{Fleet, KEY, at, host, image_site, is_full, unlimited};

#[tokio::test]
async fn api_key_quota_is_shared_and_never_exceeded() {
    let crawl = CrawlSettings { youtube_quota_units: 7, ..unlimited().crawl };
    let fleet = Fleet::new(Settings { crawl, ..unlimited() });
    let (store, workers, site) = (fleet.store().await, fleet.workers(3).await, image_site().await);
    let (url, kind) = (at(&site, "/a.jpg"), HostKind::Api { units: 2 });
    let answers =
        join_all(workers.iter().flat_map(|web| [web; 3]).map(|web| web.get(kind, &url, None))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
    for error in answers.into_iter().filter_map(Result::err) {
        let text = error.to_string();
        assert!(text.contains("has spent 6 of 7 units") && !text.contains(KEY), "{text}");
        let now_ms = store.now_ms().await.unwrap();
        assert!(matches!(error, WebError::BackedOff { until_ms, .. } if until_ms > now_ms));
    }
    let requests = site.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| request.head.contains(&format!("x-goog-api-key: {KEY}\r\n"))));
    // A smaller request still fits. The API's own refusal overrides the counted usage.
    workers[0].get(HostKind::Api { units: 1 }, &url, None).await.unwrap();
    let error = workers[0].mark_quota_exceeded().await.to_string();
    assert!(error.contains("the YouTube Data API") && !error.contains(KEY), "{error}");
    let [entry] = store.quota_usage().await.unwrap().try_into().unwrap();
    assert_eq!((entry.used, entry.limit, entry.refused), (7, 7, true));
    assert!(!entry.key_hash.contains(KEY) && entry.key_hash.len() == 12);
    // All slots are free again.
    assert!(!is_full(&store, &host(&site), 1).await);
}

#[tokio::test]
async fn quota_resets_daily_and_a_refused_key_is_blocked_for_an_hour() {
    let store = Fleet::unlimited().store().await;
    let now_ms = store.now_ms().await.unwrap();
    let day =
        |date: &str, hours: u64| QuotaDay { date: date.to_owned(), resets_at_ms: now_ms + hours * 3_600_000 };
    // The clock goes back on 1 November, so the day has 25 hours.
    let (today, tomorrow) = (day("2026-11-01", 25), day("2026-11-02", 49));
    let spend = async |day: &QuotaDay, units| store.spend_quota("key", day, units, 100).await.unwrap();
    let spent = |used, day: &QuotaDay| Spending::Spent { used, resets_at_ms: day.resets_at_ms };
    let exhausted = |used, day: &QuotaDay| Spending::Exhausted { used, resets_at_ms: day.resets_at_ms };
    assert_eq!(spend(&today, 99).await, spent(99, &today));
    assert_eq!(spend(&today, 2).await, exhausted(99, &today));
    assert_eq!(spend(&today, 1).await, spent(100, &today));
    assert_eq!(store.spend_quota("other", &today, 1, 100).await.unwrap(), spent(1, &today));

    assert_eq!(spend(&tomorrow, 60).await, spent(60, &tomorrow));
    // A worker whose clock is late spends from the new day as well.
    assert_eq!(spend(&today, 41).await, exhausted(60, &tomorrow));
    // A refused key is retried after an hour: its day may begin at another time, or its limit may be raised.
    let again_ms = store.record_quota_refusal("key", &tomorrow, 100).await.unwrap();
    assert!(again_ms > now_ms && again_ms <= store.now_ms().await.unwrap() + 3_600_000);
    assert_eq!(spend(&tomorrow, 1).await, Spending::Exhausted { used: 60, resets_at_ms: again_ms });
    let soon = QuotaDay { resets_at_ms: now_ms, ..day("2026-11-01", 0) };
    assert_eq!(
        store.record_quota_refusal("soon", &soon, 100).await.unwrap(),
        soon.resets_at_ms,
        "a new day ends it"
    );
    let next = day("2026-11-03", 73);
    assert_eq!(spend(&next, 1).await, spent(1, &next));
    // Past days are not listed.
    store.spend_quota("old", &QuotaDay { resets_at_ms: now_ms, ..today }, 1, 100).await.unwrap();
    let keys: Vec<String> =
        store.quota_usage().await.unwrap().into_iter().map(|entry| entry.key_hash).collect();
    assert_eq!(keys, ["key", "other"]);
}
