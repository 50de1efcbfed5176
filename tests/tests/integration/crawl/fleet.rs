//! A crawl of many channels by two workers: it obeys every rate limit and is complete although one is killed.
//!
//! `make crawl CHANNELS=100 VIDEOS=40` runs a larger crawl and prints measurements.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use common::{ids::SubmissionId, store::ThumbnailRecord};
use serde_json::Value;
use tests::{
    cluster::{Cluster, eventually},
    environment::number,
    fake_site::{Channel, FakeSite, Faults, Host, Requests, World},
};

use super::{contents, crawl, detach, report, rows, start};

/// Hosts with the settings and values of their limits: requests per second, and concurrent requests.
const LIMITS: [(Host, &str, u32, &str, u32); 2] = [
    (Host::Api, "SUBWATCH_CRAWL_API_PER_SECOND", 10, "SUBWATCH_CRAWL_API_CONCURRENCY", 1),
    (Host::Images, "SUBWATCH_CRAWL_IMAGE_PER_SECOND", 100, "SUBWATCH_CRAWL_IMAGE_CONCURRENCY", 4),
];

#[tokio::test]
async fn two_workers_obey_rate_limits_and_a_killed_one_changes_no_byte() {
    let channels = number("SUBWATCH_TEST_CHANNELS").unwrap_or(8);
    let videos = number("SUBWATCH_TEST_VIDEOS").unwrap_or(40);
    let size = |number: u64| u32::try_from(number).expect("a number of channels or videos");
    let world = World {
        channels: size(channels),
        videos_per_channel: size(videos),
        latency: Duration::from_millis(25),
        ..World::default()
    };
    let site = FakeSite::start(world, Faults::none()).await;
    let settings: Vec<(&str, String)> = LIMITS
        .iter()
        .flat_map(|(_, rate, per_second, slots, concurrency)| {
            [(*rate, per_second.to_string()), (*slots, concurrency.to_string())]
        })
        .collect();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut cluster = start(2, &settings).await;
    let all: Vec<&Channel> = site.channels().iter().collect();
    let limit = videos.to_string();
    let options = ["--videos-per-channel", &limit];

    let began = Instant::now();
    let undisturbed = report(&cluster, &crawl(&cluster, &site, "undisturbed", &all, &options), &[0]).await;
    let seconds = began.elapsed().as_secs_f64();
    let first = site.requests();
    let rows = rows(&cluster.folder().join("undisturbed")).len();
    let whole = contents(&cluster.folder().join("undisturbed"));
    assert_eq!((&undisturbed["succeeded"], &undisturbed["failed"]), (&channels.into(), &0.into()));
    assert_eq!((&undisturbed["thumbnails"], whole.len() as u64), (&rows.into(), rows as u64 + 1));
    tests::print_line(&format!(
        "{channels} channels × {videos} videos by 2 workers: {rows} rows, {} files in {seconds:.1} s",
        whole.len()
    ));
    for (host, _, per_second, _, concurrency) in LIMITS {
        assert_within_limits(host, &first.of(host), per_second, concurrency);
    }

    // The same crawl again; one worker is killed with channels half done.
    let keyed = [&options[..], &["--idempotency-key", "disturbed"]].concat();
    let disturbed = crawl(&cluster, &site, "disturbed", &all, &keyed);
    let id = detach(&cluster, &disturbed).await;
    eventually("worker 0 has stored some but not all thumbnails of a channel", || async {
        let mut some = false;
        for job in cluster.in_flight(id, 0).await {
            let stored = stored_by(&cluster, id, &job).await.len() as u64;
            some |= (videos / 4..videos * 3 / 4).contains(&stored);
        }
        some && cluster.submission(id).await.thumbnails >= rows as u64 / 4
    })
    .await;
    cluster.workers[0].pause();
    // Everything it will ever record is recorded now.
    let in_flight = cluster.in_flight(id, 0).await;
    let mut stored = BTreeSet::new();
    for job in &in_flight {
        stored.extend(stored_by(&cluster, id, job).await);
    }
    assert!(!in_flight.is_empty() && !stored.is_empty(), "{in_flight:?}");
    cluster.workers[0].kill().await;
    let killed = site.requests().count();
    // The idempotency key makes this wait for the first submission.
    let disturbed = report(&cluster, &disturbed, &[0]).await;
    assert_eq!(disturbed["submission"], id.to_string());
    assert_eq!((&disturbed["succeeded"], &disturbed["failed"]), (&channels.into(), &0.into()), "{disturbed}");

    let again: Vec<String> = site
        .requests_after(killed)
        .of(Host::Images)
        .per_path()
        .into_keys()
        .filter(|path| stored.contains(video_of(path)))
        .collect();
    assert_eq!(again, Vec::<String>::new(), "stored thumbnails were requested again");
    let second = site.requests_after(first.count());
    let twice = second.of(Host::Images).per_path().into_values().filter(|count| *count > 1).count();
    assert!(
        twice <= in_flight.len() * 4,
        "{twice} thumbnails were requested twice, with at peak four in flight in each of {in_flight:?}"
    );
    tests::print_line(&format!(
        "a worker was killed with {} channels in flight and {} of their thumbnails stored: none of these was requested \
         again; {twice} thumbnails in flight were",
        in_flight.len(),
        stored.len()
    ));
    for (host, _, per_second, _, concurrency) in LIMITS {
        assert_within_limits(host, &second.of(host), per_second, concurrency);
    }
    let found = contents(&cluster.folder().join("disturbed"));
    let differ: Vec<&String> =
        found.keys().chain(whole.keys()).filter(|name| found.get(*name) != whole.get(*name)).collect();
    assert_eq!(differ, Vec::<&String>::new(), "the datasets differ");
    assert_eq!(disturbed["thumbnails"], undisturbed["thumbnails"], "each thumbnail is counted once");
    cluster.finish().await;
}

/// Asserts that the requests obey rate limit and concurrency.
fn assert_within_limits(host: Host, requests: &Requests, per_second: u32, concurrency: u32) {
    let arrivals = requests.0.iter().map(|request| request.arrived);
    let span = arrivals.clone().max().unwrap_or_default() - arrivals.min().unwrap_or_default();
    let (busiest, peak) = (requests.max_within(Duration::from_secs(1)), requests.max_concurrent());
    tests::print_line(&format!(
        "{host:?}: {} requests, {:.1} per second, {busiest} in the busiest second (limit {per_second}); {peak} concurrent \
         (limit {concurrency})",
        requests.count(),
        requests.count().saturating_sub(1) as f64 / span.as_secs_f64().max(1.0),
    ));
    assert!(busiest <= per_second as usize, "{host:?}: {busiest} requests within a second");
    assert!(peak <= concurrency as usize, "{host:?}: {peak} concurrent requests");
}

/// Returns the videos whose thumbnails a job has stored.
async fn stored_by(cluster: &Cluster, id: SubmissionId, job: &str) -> Vec<String> {
    let progress = cluster.store.crawl_progress::<Value>(id, job).await.unwrap();
    let stored =
        progress.thumbnails.into_iter().filter(|(_, record)| matches!(record, ThumbnailRecord::Stored(_)));
    stored.map(|(video, _)| video).collect()
}

fn video_of(path: &str) -> &str {
    path.trim_start_matches("/vi/").split('/').next().unwrap_or_default()
}
