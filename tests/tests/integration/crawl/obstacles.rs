//! Blocks, schema drift, exhausted quotas and other obstacles to a crawl.

use std::{collections::BTreeMap, time::Duration};

use common::{
    ids::SubmissionId,
    store::{JobState, State},
};
use tests::{
    cluster::eventually,
    fake_site::{Channel, FakeSite, Fault, Faults, Host, KEY, Occurrences, RetryAfter, Rule, Wall, World},
};

use super::{crawl, detach, report, rows, start};

#[tokio::test]
async fn schema_drift_fails_only_its_channel_and_records_the_response() {
    let site = FakeSite::start(World { channels: 4, ..World::default() }, Faults::none()).await;
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

    let recorded =
        cluster.folder().join(format!("artifacts/crawl/{}", crawled["submission"].as_str().unwrap()));
    let recorded: Vec<String> = std::fs::read_dir(recorded)
        .unwrap()
        .flatten()
        .map(|file| file.path().display().to_string())
        .collect();
    assert_eq!(recorded.len(), 2, "{recorded:?}");
    let mut replay = vec!["crawl", "replay"];
    replay.extend(recorded.iter().map(String::as_str));
    replay.extend(["-o", "json"]);
    let requests = site.requests().count();
    let replayed = cluster.json(&replay, &[3]).await;
    assert_eq!(site.requests().count(), requests, "replay sent a request");
    for one in replayed.as_array().unwrap() {
        assert_eq!(one["error"], one["original_error"], "the same parser reports the same error: {one}");
    }
    assert_eq!(cluster.store.dead_letter_count().await.unwrap(), 0);
    cluster.finish().await;
}

#[tokio::test]
async fn backing_off_a_host_spends_no_attempt() {
    let site = FakeSite::start(World { channels: 4, ..World::default() }, Faults::none()).await;
    let cluster = start(2, &[("SUBWATCH_CRAWL_ATTEMPTS", "1")]).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    let first = |rule: Rule| rule.on(Occurrences::First(1));
    let pages = ["--source", "page", "--read-pages", "--videos-per-channel", "6"];
    let cases: [(&str, Rule, &[&str]); 4] = [
        (
            "429",
            first(Rule::to(Host::Images, Fault::TooManyRequests(RetryAfter::Absent))),
            &["--videos-per-channel", "6"],
        ),
        (
            "429 for a second",
            Rule::to(Host::Images, Fault::TooManyRequests(RetryAfter::Seconds(1))).on(Occurrences::Nth(5)),
            &["--videos-per-channel", "6"],
        ),
        ("consent", Rule::at("/@", Fault::Consent(Wall::Page)).on(Occurrences::First(1)), &pages),
        ("captcha", Rule::at("/@", Fault::Captcha(Wall::Redirect)).on(Occurrences::First(1)), &pages),
    ];
    for (number, (name, rule, more)) in cases.into_iter().enumerate() {
        site.faults().clear();
        site.faults().add(rule);
        let out = format!("set-{number}");
        let crawled = report(&cluster, &crawl(&cluster, &site, &out, &channels, more), &[0]).await;
        assert_eq!(crawled["succeeded"], 4, "{name}: {crawled}");
        let id: SubmissionId = crawled["submission"].as_str().unwrap().parse().unwrap();
        let submission = cluster.submission(id).await;
        tests::print_line(&format!(
            "{name}: snoozed (“{}”), then done",
            submission.snoozed.map_or_else(String::new, |snooze| snooze.reason)
        ));
        for mark in cluster.store.job_statuses(id).await.unwrap().values() {
            assert!(mark.history.is_empty() && mark.state == JobState::Done, "{name}: {mark:?}");
        }
    }
    assert_eq!(cluster.store.dead_letter_count().await.unwrap(), 0);
    cluster.finish().await;
}

#[tokio::test]
async fn crawl_resume_ends_a_backoff_and_its_jobs_continue() {
    let site = FakeSite::start(World { channels: 2, ..World::default() }, Faults::none()).await;
    let rule = Rule::to(Host::Images, Fault::TooManyRequests(RetryAfter::Absent));
    site.faults().add(rule);
    let long = [("SUBWATCH_CRAWL_BACKOFF_SECONDS", "3600"), ("SUBWATCH_RESCUE_AFTER_SECONDS", "1")];
    let cluster = start(1, &long).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    let id =
        detach(&cluster, &crawl(&cluster, &site, "set", &channels, &["--videos-per-channel", "5"])).await;
    eventually("every job is snoozed", || async {
        let statuses = cluster.store.job_statuses(id).await.unwrap();
        statuses.len() == 2 && statuses.values().all(|mark| mark.state == JobState::Snoozed)
    })
    .await;
    let host = format!("localhost:{}", site.port());
    let status = cluster.cli(&["status"]).await;
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains(&format!("{host} (image http://{host}/")), "{status}");
    assert!(status.contains("): in back-off until "), "{status}");

    let other = cluster.cli(&["crawl", "resume", "other.example"]).await;
    assert_eq!(other.status.code(), Some(5), "{}", String::from_utf8_lossy(&other.stderr));
    assert!(String::from_utf8_lossy(&other.stderr).contains("host 'other.example' is not in back-off"));
    site.faults().clear();
    let resumed = cluster.json(&["crawl", "resume", &host, "-o", "json"], &[0]).await;
    assert_eq!(
        (&resumed["host"], &resumed["reason"]),
        (&host.into(), &"the host returned 429 Too Many Requests".into())
    );
    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.succeeded, ended.failed), (2, 0), "{ended:?}");
    let status = cluster.json(&["status", "-o", "json"], &[0]).await;
    assert_eq!(status["host_backoffs"], serde_json::json!([]), "{status}");
    // Drop the delayed copies, which would return in ten minutes without effect.
    cluster.vhost.delete_queue("subwatch.delay.10m").await;
    cluster.finish().await;
}

#[tokio::test]
async fn channel_crawled_over_several_time_slices_repeats_no_request() {
    let site = FakeSite::start(World { channels: 2, ..World::default() }, Faults::none()).await;
    // A time slice is a third of the time limit.
    let settings = [("SUBWATCH_JOB_TIMEOUT_SECONDS", "6"), ("SUBWATCH_CRAWL_IMAGE_PER_SECOND", "8")];
    let cluster = start(2, &settings).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    let crawled = report(&cluster, &crawl(&cluster, &site, "set", &channels, &[]), &[0]).await;
    let requests = site.requests();
    let twice: Vec<_> =
        requests.of(Host::Images).per_path().into_iter().filter(|(_, count)| *count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert!(requests.of(Host::Images).max_within(Duration::from_secs(1)) <= 9);
    let id: SubmissionId = crawled["submission"].as_str().unwrap().parse().unwrap();
    let reason = cluster.submission(id).await.snoozed.unwrap().reason;
    assert!(reason.contains("time slice has ended"), "{reason}");
    let statuses = cluster.store.job_statuses(id).await.unwrap();
    assert!(statuses.values().all(|mark| mark.history.is_empty() && mark.crashes == 0), "{statuses:?}");
    tests::print_line(&format!("{} thumbnails at 8 per second in time slices of 2 s", crawled["thumbnails"]));
    cluster.finish().await;
}

#[tokio::test]
async fn source_out_of_attempts_is_dead_lettered_and_crawled_after_requeue() {
    let site = FakeSite::start(World { channels: 2, ..World::default() }, Faults::none()).await;
    site.faults().add(Rule::at("/youtube/v3/videos", Fault::Reset));
    let cluster = start(1, &[("SUBWATCH_CRAWL_ATTEMPTS", "2")]).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    let crawled = report(&cluster, &crawl(&cluster, &site, "set", &channels, &[]), &[3]).await;
    assert_eq!(
        (&crawled["failed"], cluster.store.dead_letter_count().await.unwrap()),
        (&2.into(), 2),
        "{crawled}"
    );
    site.faults().clear();
    let id = crawled["submission"].as_str().unwrap();
    let before = site.requests().count();
    let requeued = cluster.json(&["dead-letters", "requeue", "--submission", id, "-o", "json"], &[0]).await;
    assert_eq!(requeued["processed"], 2, "{requeued}");
    let ended = cluster.wait_for_end(id.parse().unwrap()).await;
    assert_eq!((ended.succeeded, ended.failed), (2, 0), "{ended:?}");
    let after = site.requests_after(before);
    assert_eq!(after.to("/youtube/v3/channels").count(), 0, "the channels are not requested again");
    assert_eq!(rows(&cluster.folder().join("set")).len() as u64, ended.thumbnails);
    cluster.finish().await;
}

#[tokio::test]
async fn unavailable_image_host_loses_no_existing_or_requeued_row() {
    let world = World { channels: 1, odd_videos: false, ..World::default() };
    let site = FakeSite::start(world, Faults::none()).await;
    let cluster = start(1, &[("SUBWATCH_CRAWL_ATTEMPTS", "2")]).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    let ten = |out: &str| crawl(&cluster, &site, out, &channels, &["--videos-per-channel", "10"]);
    report(&cluster, &ten("old"), &[0]).await;
    let before = rows(&cluster.folder().join("old"));
    site.faults().add(Rule::to(Host::Images, Fault::Unavailable));
    let again = report(&cluster, &ten("old"), &[0]).await;
    assert_eq!((before.len(), &again["thumbnails"]), (10, &10.into()), "{again}");
    assert_eq!(rows(&cluster.folder().join("old")).len(), 10);

    let lost = report(&cluster, &ten("new"), &[3]).await;
    let error = lost["results"][0]["error"].as_str().unwrap();
    assert!(error.contains("10 of 10 thumbnails could not be fetched"), "{error}");
    site.faults().clear();
    let id = lost["submission"].as_str().unwrap();
    cluster.json(&["dead-letters", "requeue", "--submission", id, "-o", "json"], &[0]).await;
    let ended = cluster.wait_for_end(id.parse().unwrap()).await;
    assert_eq!((ended.succeeded, ended.thumbnails), (1, 10), "{ended:?}");

    // One unavailable thumbnail of ten is reported as skipped.
    let video = before.keys().next().unwrap();
    site.faults().add(Rule::at(&format!("/vi/{video}/"), Fault::Unavailable));
    let crawled = report(&cluster, &ten("nine"), &[0]).await;
    let crawled = &crawled["results"][0]["crawled"];
    assert_eq!(
        (&crawled["thumbnails"], &crawled["skipped"]["thumbnail unavailable"]),
        (&9.into(), &1.into())
    );
    cluster.finish().await;
}

#[tokio::test]
async fn dataset_folder_that_links_outside_is_not_written_to() {
    let site = FakeSite::start(World { channels: 1, ..World::default() }, Faults::none()).await;
    let cluster = start(1, &[]).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    let outside = tempfile::tempdir().unwrap();
    for folder in ["thumbnails", ".subwatch"] {
        let set = cluster.folder().join(folder);
        std::fs::create_dir(&set).unwrap();
        std::os::unix::fs::symlink(outside.path(), set.join(folder)).unwrap();
        let crawled = report(
            &cluster,
            &crawl(&cluster, &site, folder, &channels, &["--videos-per-channel", "2"]),
            &[3],
        )
        .await;
        let error = crawled["results"][0]["error"].as_str().unwrap();
        assert!(error.starts_with("refused: ") && error.contains("it points outside the dataset"), "{error}");
    }
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    cluster.finish().await;
}

#[tokio::test]
async fn exhausted_quota_snoozes_jobs_until_it_resets() {
    let site = FakeSite::start(World { channels: 6, units: 7, ..World::default() }, Faults::none()).await;
    let cluster = start(2, &[]).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    let id =
        detach(&cluster, &crawl(&cluster, &site, "set", &channels, &["--videos-per-channel", "4"])).await;
    eventually("every job is snoozed or done", || async {
        let statuses = cluster.store.job_statuses(id).await.unwrap();
        statuses.len() == 6
            && statuses.values().all(|mark| [JobState::Snoozed, JobState::Done].contains(&mark.state))
    })
    .await;
    let view = cluster.json(&["status", &id.to_string(), "-o", "json"], &[0]).await;
    let (now_ms, until_ms) =
        (cluster.store.now_ms().await.unwrap(), view["snoozed"]["until_ms"].as_u64().unwrap());
    assert!(until_ms > now_ms && until_ms <= now_ms + 25 * 3_600_000, "{view}");
    assert!(view["snoozed"]["reason"].as_str().unwrap().contains("quota of key"), "{view}");
    let statuses = cluster.store.job_statuses(id).await.unwrap();
    assert!(statuses.values().all(|mark| mark.history.is_empty()), "{statuses:?}");
    let status = cluster.json(&["status", "-o", "json"], &[0]).await;
    assert_eq!(status["quotas"][0]["refused"], true, "{status}");
    tests::print_line(&format!("quota: {} units used, {}", site.units_used(KEY), view["snoozed"]));
    assert_eq!(cluster.submission(id).await.state, State::Running);
    cluster.cli(&["cancel", &id.to_string()]).await;
    // Drop the delayed copies, which would return in ten minutes without effect.
    cluster.vhost.delete_queue("subwatch.delay.10m").await;
    cluster.finish().await;
}
