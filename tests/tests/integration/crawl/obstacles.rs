//! Deaths, refusals and unknown forms: what stands in the way of a crawl.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use common::{
    ids::SubmissionId,
    store::{State, ThumbnailRecord},
};
use serde_json::Value;
use tests::{
    cluster::{Cluster, eventually},
    youtube_site::{Channel, Fault, Faults, Host, KEY, RetryAfter, Rule, Turns, Wall, World, YoutubeSite},
};

use super::{contents, crawl, detach, report, rows, start, video_of};

#[tokio::test]
async fn a_worker_killed_mid_crawl_changes_no_byte_and_nothing_that_is_stored_is_asked_for_again() {
    let world = World { channels: 8, latency: Duration::from_millis(25), ..World::default() };
    let site = YoutubeSite::start(world, Faults::none()).await;
    let mut cluster = start(2, &[]).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    let arguments = crawl(&cluster, &site, "undisturbed", &channels, &[]);
    let undisturbed = report(&cluster, &arguments, &[0]).await;
    let requests = site.requests().count();

    let id = detach(&cluster, &crawl(&cluster, &site, "disturbed", &channels, &[])).await;
    eventually("worker 0 has brought in some thumbnails of a channel and not all", || async {
        let mut some = false;
        for job in cluster.in_flight(id, 0).await {
            let stored = progress(&cluster, id, &job).await.1.len();
            some |= (10..30).contains(&stored);
        }
        some
    })
    .await;
    cluster.workers[0].pause();
    // What it asked last is answered and recorded, or never will be.
    let held = cluster.in_flight(id, 0).await;
    let mut stored = BTreeSet::new();
    let mut listed = 0;
    for job in &held {
        let (is_listed, videos) = progress(&cluster, id, job).await;
        listed += usize::from(is_listed);
        stored.extend(videos);
    }
    assert!(!held.is_empty() && !stored.is_empty(), "{held:?}");
    cluster.workers[0].kill().await;
    let before = site.requests().count();
    let ended = cluster.ended(id).await;
    assert_eq!((ended.succeeded, ended.failed), (8, 0), "{ended:?}");

    let after = site.requests_after(before);
    let again: Vec<String> = after
        .of(Host::Images)
        .0
        .iter()
        .filter(|request| stored.contains(video_of(&request.path)))
        .map(|request| request.path.clone())
        .collect();
    assert_eq!(again, Vec::<String>::new(), "what is stored was asked for again");
    let twice = site
        .requests_after(requests)
        .of(Host::Images)
        .per_path()
        .into_values()
        .filter(|count| *count > 1)
        .count();
    assert!(
        twice <= held.len() * 4,
        "{twice} thumbnails asked for twice, of at most four under way in each of {held:?}"
    );
    tests::say(&format!(
        "a worker died with {} channels in hand, {listed} listed and {} thumbnails stored: 0 of them were asked for \
         again, {twice} that were under way were",
        held.len(),
        stored.len()
    ));
    let disturbed = contents(&cluster.folder().join("disturbed"));
    let whole = contents(&cluster.folder().join("undisturbed"));
    let differ: Vec<&String> = disturbed
        .keys()
        .chain(whole.keys())
        .filter(|name| disturbed.get(*name) != whole.get(*name))
        .collect();
    assert_eq!(differ, Vec::<&String>::new(), "the datasets differ");
    assert_eq!(undisturbed["thumbnails"].as_u64(), Some(ended.thumbnails), "each is counted once");
    cluster.finish().await;
}

/// Whether a job has its whole listing, and the videos whose thumbnails it has stored.
async fn progress(cluster: &Cluster, id: SubmissionId, job: &str) -> (bool, Vec<String>) {
    let progress = cluster.store.crawl_progress::<Value>(id, job).await.unwrap();
    let is_listed = progress.listing.is_some_and(|listing| listing.get("complete").is_some());
    let stored =
        progress.thumbnails.into_iter().filter(|(_, record)| matches!(record, ThumbnailRecord::Stored(_)));
    (is_listed, stored.map(|(video, _)| video).collect())
}

#[tokio::test]
async fn what_is_in_a_form_that_nobody_knows_fails_alone_and_is_kept_for_replay() {
    let site = YoutubeSite::start(World { channels: 4, ..World::default() }, Faults::none()).await;
    let cluster = start(1, &[]).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    site.faults().add(Rule::of_channel(&channels[0].id, Fault::SchemaDrift));
    site.faults().add(Rule::of_channel(&channels[1].id, Fault::NoItems));
    site.faults().add(Rule::of_channel(&channels[2].id, Fault::Terminated));
    let pages = ["--source", "page", "--read-pages", "--videos-per-channel", "5"];
    let crawled = report(&cluster, &crawl(&cluster, &site, "set", &channels, &pages), &[3]).await;
    assert_eq!((&crawled["succeeded"], &crawled["failed"]), (&1.into(), &3.into()));
    let errors: BTreeMap<&str, &str> = crawled["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|item| Some((item["item"].as_str()?, item["error"].as_str()?)))
        .collect();
    for channel in &channels[..2] {
        assert!(errors[channel.handle.as_str()].starts_with("schema-drift: "), "{errors:?}");
    }
    assert!(errors[channels[2].handle.as_str()].starts_with("unavailable: "), "{errors:?}");

    let kept = cluster.folder().join(format!("artifacts/crawl/{}", crawled["submission"].as_str().unwrap()));
    let kept: Vec<String> =
        std::fs::read_dir(kept).unwrap().flatten().map(|file| file.path().display().to_string()).collect();
    assert_eq!(kept.len(), 2, "{kept:?}");
    let mut replay = vec!["crawl", "replay"];
    replay.extend(kept.iter().map(String::as_str));
    replay.extend(["-o", "json"]);
    let requests = site.requests().count();
    let replayed = cluster.json(&replay, &[3]).await;
    assert_eq!(site.requests().count(), requests, "nothing is asked");
    for one in replayed.as_array().unwrap() {
        assert_eq!(one["error"], one["why"], "the same parser says the same: {one}");
    }
    assert_eq!(cluster.store.dead_letters().await.unwrap(), 0);
    cluster.finish().await;
}

#[tokio::test]
async fn a_site_that_has_had_enough_is_left_alone_and_costs_no_attempt() {
    let site = YoutubeSite::start(World { channels: 4, ..World::default() }, Faults::none()).await;
    let cluster = start(2, &[("SUBWATCH_CRAWL_ATTEMPTS", "1")]).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    let first = |rule: Rule| rule.in_turns(Turns::First(1));
    let pages = ["--source", "page", "--read-pages", "--videos-per-channel", "6"];
    let cases: [(&str, Rule, &[&str]); 4] = [
        (
            "429",
            first(Rule::to(Host::Images, Fault::TooManyRequests(RetryAfter::Unsaid))),
            &["--videos-per-channel", "6"],
        ),
        (
            "429 for a second",
            Rule::to(Host::Images, Fault::TooManyRequests(RetryAfter::Seconds(1))).in_turns(Turns::Nth(5)),
            &["--videos-per-channel", "6"],
        ),
        ("consent", Rule::at("/@", Fault::Consent(Wall::Page)).in_turns(Turns::First(1)), &pages),
        ("captcha", Rule::at("/@", Fault::Captcha(Wall::Redirect)).in_turns(Turns::First(1)), &pages),
    ];
    for (number, (what, rule, more)) in cases.into_iter().enumerate() {
        site.faults().clear();
        site.faults().add(rule);
        let out = format!("set-{number}");
        let crawled = report(&cluster, &crawl(&cluster, &site, &out, &channels, more), &[0]).await;
        assert_eq!(crawled["succeeded"], 4, "{what}: {crawled}");
        let id: SubmissionId = crawled["submission"].as_str().unwrap().parse().unwrap();
        let submission = cluster.submission(id).await;
        tests::say(&format!(
            "{what}: rested for “{}”, then done",
            submission.paused.map_or_else(String::new, |pause| pause.reason)
        ));
        for mark in cluster.store.job_marks(id).await.unwrap().values() {
            assert!(mark.history.is_empty() && mark.state == "done", "{what}: {mark:?}");
        }
    }
    assert_eq!(cluster.store.dead_letters().await.unwrap(), 0);
    cluster.finish().await;
}

#[tokio::test]
async fn a_channel_that_takes_several_turns_is_never_asked_twice_for_the_same() {
    let site = YoutubeSite::start(World { channels: 2, ..World::default() }, Faults::none()).await;
    // A turn takes a third of the time limit.
    let slowly = [("SUBWATCH_JOB_LIMIT_SECONDS", "6"), ("SUBWATCH_CRAWL_IMAGE_PER_SECOND", "8")];
    let cluster = start(2, &slowly).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    let crawled = report(&cluster, &crawl(&cluster, &site, "set", &channels, &[]), &[0]).await;
    let requests = site.requests();
    let twice: Vec<_> =
        requests.of(Host::Images).per_path().into_iter().filter(|(_, count)| *count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert!(requests.of(Host::Images).most_within(Duration::from_secs(1)) <= 9);
    let id: SubmissionId = crawled["submission"].as_str().unwrap().parse().unwrap();
    let reason = cluster.submission(id).await.paused.unwrap().reason;
    assert!(reason.contains("its turn is over"), "{reason}");
    let marks = cluster.store.job_marks(id).await.unwrap();
    assert!(marks.values().all(|mark| mark.history.is_empty() && mark.crashes == 0), "{marks:?}");
    tests::say(&format!("{} thumbnails at 8 a second in turns of 2 s", crawled["thumbnails"]));
    cluster.finish().await;
}

#[tokio::test]
async fn a_source_that_fails_every_attempt_is_discarded_and_crawled_when_it_is_requeued() {
    let site = YoutubeSite::start(World { channels: 2, ..World::default() }, Faults::none()).await;
    site.faults().add(Rule::at("/youtube/v3/videos", Fault::Reset));
    let cluster = start(1, &[("SUBWATCH_CRAWL_ATTEMPTS", "2")]).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    let crawled = report(&cluster, &crawl(&cluster, &site, "set", &channels, &[]), &[3]).await;
    assert_eq!(
        (&crawled["failed"], cluster.store.dead_letters().await.unwrap()),
        (&2.into(), 2),
        "{crawled}"
    );
    site.faults().clear();
    let id = crawled["submission"].as_str().unwrap();
    let before = site.requests().count();
    let requeued = cluster.json(&["dead", "requeue", "--submission", id, "-o", "json"], &[0]).await;
    assert_eq!(requeued["done"], 2, "{requeued}");
    let ended = cluster.ended(id.parse().unwrap()).await;
    assert_eq!((ended.succeeded, ended.failed), (2, 0), "{ended:?}");
    let after = site.requests_after(before);
    assert_eq!(after.to("/youtube/v3/channels").count(), 0, "what was known of the channels still is");
    assert_eq!(rows(&cluster.folder().join("set")).len() as u64, ended.thumbnails);
    cluster.finish().await;
}

#[tokio::test]
async fn a_quota_that_is_used_up_puts_everything_to_rest_until_it_is_renewed() {
    let site = YoutubeSite::start(World { channels: 6, units: 7, ..World::default() }, Faults::none()).await;
    let cluster = start(2, &[]).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    let id =
        detach(&cluster, &crawl(&cluster, &site, "set", &channels, &["--videos-per-channel", "4"])).await;
    eventually("every job rests or is done", || async {
        let marks = cluster.store.job_marks(id).await.unwrap();
        marks.len() == 6 && marks.values().all(|mark| ["paused", "done"].contains(&mark.state.as_str()))
    })
    .await;
    let view = cluster.json(&["status", &id.to_string(), "-o", "json"], &[0]).await;
    let (now_ms, until_ms) =
        (cluster.store.now_ms().await.unwrap(), view["paused"]["until_ms"].as_u64().unwrap());
    assert!(until_ms > now_ms && until_ms <= now_ms + 25 * 3_600_000, "{view}");
    assert!(view["paused"]["reason"].as_str().unwrap().contains("quota of key"), "{view}");
    let marks = cluster.store.job_marks(id).await.unwrap();
    assert!(marks.values().all(|mark| mark.history.is_empty()), "{marks:?}");
    let status = cluster.json(&["status", "-o", "json"], &[0]).await;
    assert_eq!(status["quotas"][0]["refused"], true, "{status}");
    tests::say(&format!("quota: {} units used, {}", site.units_used(KEY), view["paused"]));
    assert_eq!(cluster.submission(id).await.state, State::Running);
    cluster.cli(&["cancel", &id.to_string()]).await;
    // The copies that rest would come back in ten minutes, and be dropped.
    cluster.vhost.delete_queue("subwatch.delay.10m").await;
    cluster.finish().await;
}
