//! Crawls of a site that speaks as YouTube does: whole datasets, and everything that can stand in the way.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    time::Duration,
};

use common::{
    ids::{Digest, SubmissionId},
    store::{State, ThumbnailRecord},
};
use serde_json::Value;
use tests::{
    cluster::{Cluster, eventually},
    youtube_site::{
        Channel, Fault, Faults, Host, KEY, Kind, Order, RetryAfter, Rule, Turns, Wall, World, YoutubeSite,
    },
};

/// A fleet that may ask the site as fast as it likes.
async fn start(workers: usize, more: &[(&str, &str)]) -> Cluster {
    let mut settings = vec![
        ("SUBWATCH_FETCH_ALLOW", "127.0.0.1"),
        ("SUBWATCH_YOUTUBE_API_KEY", KEY),
        ("SUBWATCH_CRAWL_WEB_PER_SECOND", "1000"),
        ("SUBWATCH_CRAWL_API_PER_SECOND", "1000"),
        ("SUBWATCH_CRAWL_IMAGE_PER_SECOND", "1000"),
        ("SUBWATCH_CRAWL_PAUSE_SECONDS", "2"),
    ];
    settings.extend(more);
    let settings: Vec<(&str, String)> =
        settings.into_iter().map(|(key, value)| (key, value.to_owned())).collect();
    Cluster::start_with(workers, &settings).await
}

/// The arguments of a crawl of these channels into a dataset of the cluster.
fn crawl(
    cluster: &Cluster,
    site: &YoutubeSite,
    out: &str,
    channels: &[&Channel],
    more: &[&str],
) -> Vec<String> {
    let base = site.base().to_string();
    let mut arguments: Vec<String> = ["crawl", "--out"].map(str::to_owned).to_vec();
    arguments.push(cluster.folder().join(out).display().to_string());
    for flag in ["--api-base", "--web-base", "--image-base"] {
        arguments.extend([flag.to_owned(), base.clone()]);
    }
    let mut by_category = BTreeMap::<&str, Vec<&str>>::new();
    for channel in channels {
        by_category.entry(channel.category).or_default().push(&channel.handle);
    }
    for (category, handles) in by_category {
        arguments.extend(["--category".to_owned(), format!("{category}={}", handles.join(","))]);
    }
    arguments.extend(more.iter().map(|text| (*text).to_owned()));
    arguments
}

async fn report(cluster: &Cluster, arguments: &[String], codes: &[i32]) -> Value {
    let mut all: Vec<&str> = arguments.iter().map(String::as_str).collect();
    all.extend(["-o", "json"]);
    cluster.json(&all, codes).await
}

async fn detach(cluster: &Cluster, arguments: &[String]) -> SubmissionId {
    let all: Vec<&str> = arguments.iter().map(String::as_str).collect();
    cluster.detach(&all).await
}

/// The rows of a dataset, by video.
fn rows(dataset: &Path) -> BTreeMap<String, Value> {
    let mut rows = BTreeMap::new();
    for part in std::fs::read_dir(dataset.join("metadata")).unwrap().flatten() {
        for line in std::fs::read_to_string(part.path()).unwrap().lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            let id = row["video_id"].as_str().unwrap().to_owned();
            assert!(rows.insert(id, row).is_none(), "a video stands twice");
        }
    }
    rows
}

/// All files of a dataset, but for hidden ones, with their bytes; of its rows, without the moment they were crawled at.
fn contents(dataset: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in ["metadata", "thumbnails"] {
        for file in std::fs::read_dir(dataset.join(folder)).unwrap().flatten() {
            let name = format!("{folder}/{}", file.file_name().to_string_lossy());
            // What a process was about to write when it was killed is hidden, and no part of the dataset.
            if file.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let mut bytes = std::fs::read(file.path()).unwrap();
            if folder == "metadata" {
                let text = String::from_utf8(bytes).unwrap();
                let line = |line: &str| {
                    let (before, rest) = line.split_once("\"crawled_at\":\"").unwrap();
                    format!("{before}{}\n", rest.split_once('"').unwrap().1)
                };
                bytes = text.lines().map(line).collect::<String>().into_bytes();
            }
            files.insert(name, bytes);
        }
    }
    files
}

/// The videos of a channel that a crawl takes, by the site's own account.
fn takeable(channel: &Channel, order: Order, most: usize) -> Vec<String> {
    let plain = channel.listed(order).into_iter().filter(|video| video.kind == Kind::Plain);
    let mut ids: Vec<String> = Vec::new();
    for video in plain {
        if !ids.contains(&video.id) {
            ids.push(video.id.clone());
        }
    }
    ids.truncate(most);
    ids
}

fn video_of(path: &str) -> &str {
    path.trim_start_matches("/vi/").split('/').next().unwrap_or_default()
}

#[tokio::test]
async fn a_whole_dataset_comes_from_the_data_api_and_a_second_crawl_asks_only_whether_it_changed() {
    let site = YoutubeSite::start(World { channels: 6, ..World::default() }, Faults::none()).await;
    let cluster = start(2, &[]).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    let arguments =
        crawl(&cluster, &site, "set", &channels, &["--order", "popular", "--videos-per-channel", "12"]);
    let crawled = report(&cluster, &arguments, &[0]).await;
    assert_eq!((&crawled["succeeded"], &crawled["failed"]), (&6.into(), &0.into()), "{crawled}");

    let dataset = cluster.folder().join("set");
    let rows = rows(&dataset);
    assert_eq!(crawled["thumbnails"], rows.len());
    for channel in &channels {
        let truth: HashMap<&str, _> = channel.videos.iter().map(|video| (video.id.as_str(), video)).collect();
        let own: Vec<&Value> = rows.values().filter(|row| row["channel_id"] == channel.id.as_str()).collect();
        assert!(own.len() >= 10, "{} of 12 rows of {}", own.len(), channel.handle);
        for row in own {
            let video = truth[row["video_id"].as_str().unwrap()];
            assert_eq!(
                row.get("views").and_then(Value::as_u64),
                (!video.hides_views).then_some(video.views),
                "{row}"
            );
            assert_eq!(
                (&row["title"], &row["channel"]),
                (&video.title.as_str().into(), &channel.title.as_str().into())
            );
            assert_eq!((&row["category"], &row["source"]), (&channel.category.into(), &"api".into()));
            match row.get("subscribers").and_then(Value::as_u64) {
                Some(subscribers) => assert!(
                    subscribers <= channel.subscribers && subscribers * 101 / 100 >= channel.subscribers
                ),
                None => assert!(channel.hides_subscribers),
            }
            let file = std::fs::read(dataset.join(row["file_name"].as_str().unwrap())).unwrap();
            assert_eq!(row["sha256"], Digest::of(&file).to_string());
            let picture = data::decode::decode(&file).unwrap();
            assert_eq!(row["thumbnail_width"], picture.width);
            assert_eq!(row["thumbnail_height"], picture.height);
        }
    }
    let first = site.requests();
    let asked = first.of(Host::Images).per_path();
    assert!(asked.values().all(|count| *count == 1), "a thumbnail was asked for twice: {asked:?}");
    assert_eq!(first.of(Host::Web).count(), 0, "the Data API needs no page");
    tests::say(&format!(
        "{} rows of {} channels: {} requests to the Data API, {} units; {} for thumbnails",
        rows.len(),
        channels.len(),
        first.of(Host::Api).count(),
        site.units_used(KEY),
        first.of(Host::Images).count()
    ));

    let before = contents(&dataset);
    let again = report(&cluster, &arguments, &[0]).await;
    let second = site.requests_after(first.count()).of(Host::Images);
    assert_eq!(second.answered(304).count(), rows.len());
    assert_eq!(second.count(), rows.len(), "only what is there is asked for");
    let kept: u64 = again["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["crawled"]["kept"].as_u64().unwrap())
        .sum();
    assert_eq!(kept, rows.len() as u64);
    assert!(contents(&dataset) == before, "nothing changed, so no byte did");
    cluster.finish().await;
}

#[tokio::test]
async fn pages_are_read_only_where_that_is_asked_for_and_robots_allow_it() {
    let site =
        YoutubeSite::start(World { channels: 4, videos_per_channel: 70, ..World::default() }, Faults::none())
            .await;
    let cluster = start(2, &[]).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    let pages = ["--source", "page", "--videos-per-channel", "50"];
    let unasked = cluster
        .cli(
            &crawl(&cluster, &site, "pages", &channels, &pages)
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>(),
        )
        .await;
    assert_eq!(unasked.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unasked.stderr).contains("--read-pages"));
    assert_eq!(site.requests().count(), 0, "nothing was asked");

    // As the real one, the site's robots.txt allows the page of a channel, and nothing that follows it.
    let pages = [&pages[..], &["--read-pages"]].concat();
    let newest = report(&cluster, &crawl(&cluster, &site, "pages", &channels, &pages), &[0]).await;
    for item in newest["results"].as_array().unwrap() {
        assert!(item["crawled"]["cut_short"].as_str().unwrap().contains("robots.txt"), "{item}");
    }
    let rows_of_pages = rows(&cluster.folder().join("pages"));
    assert!(rows_of_pages.values().all(|row| row["source"] == "page" && row.get("published").is_none()));
    assert_eq!(site.requests().to("/youtubei/v1/browse").count(), 0);
    assert_eq!(site.requests().to("/robots.txt").count(), 1, "one copy serves the whole fleet");
    let popular = [&pages[..], &["--order", "popular"]].concat();
    let refused = report(&cluster, &crawl(&cluster, &site, "popular", &channels, &popular), &[3]).await;
    for item in refused["results"].as_array().unwrap() {
        let error = item["error"].as_str().unwrap();
        assert!(
            error.starts_with("refused: ") && error.contains("use --order newest, or the source api"),
            "{error}"
        );
    }
    tests::say(&format!("pages alone: {} rows of {} channels", rows_of_pages.len(), channels.len()));
    cluster.finish().await;
}

#[tokio::test]
async fn a_whole_dataset_comes_from_pages_where_the_site_lets_robots_read_all_of_them() {
    // A site without a robots.txt.
    let open = Rule::at("/robots.txt", Fault::NotFound);
    let world = World { channels: 6, videos_per_channel: 70, ..World::default() };
    let site = YoutubeSite::start(world, Faults::of([open])).await;
    let cluster = start(2, &[]).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    for (order, listed) in [("popular", Order::Popular), ("newest", Order::Latest)] {
        let pages = ["--source", "page", "--read-pages", "--order", order, "--videos-per-channel", "45"];
        let crawled = report(&cluster, &crawl(&cluster, &site, order, &channels, &pages), &[0]).await;
        let rows = rows(&cluster.folder().join(order));
        for channel in &channels {
            let wanted = takeable(channel, listed, 45);
            let missing: Vec<&String> = wanted.iter().filter(|id| !rows.contains_key(*id)).collect();
            // What has no usable thumbnail has no row.
            assert!(missing.len() <= 5, "{missing:?} of {} are missing, {order}: {crawled}", channel.handle);
            for video in channel.videos.iter().filter(|video| rows.contains_key(&video.id)) {
                let row = &rows[&video.id];
                let (views, exact) = (row["views"].as_u64().unwrap(), row["views_approximate"] == false);
                assert!(if exact { views == video.views } else { views <= video.views }, "{row} {video:?}");
                assert!(views * 2 >= video.views, "{row} {video:?}");
            }
        }
        tests::say(&format!("{order}: {} rows of {} channels from pages", rows.len(), channels.len()));
    }
    cluster.finish().await;
}

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

#[tokio::test]
async fn lists_say_what_is_known_of_their_videos_and_twins_are_told_apart() {
    let site = YoutubeSite::start(World { channels: 3, ..World::default() }, Faults::none()).await;
    let cluster = start(1, &[]).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    let wanted: Vec<String> =
        channels.iter().flat_map(|channel| takeable(channel, Order::Latest, 20)).collect();
    let mut list = wanted.clone();
    list.push("nosuchvideo".to_owned());
    let file = cluster.folder().join("list.txt");
    std::fs::write(&file, list.join("\n")).unwrap();
    let videos = ["--videos", file.to_str().unwrap()];
    let crawled = report(&cluster, &crawl(&cluster, &site, "list", &[], &videos), &[0]).await;
    assert_eq!(crawled["items"], 2, "slices of 50");
    let rows = rows(&cluster.folder().join("list"));
    assert!(rows.len() + 5 >= wanted.len() && rows.keys().all(|id| wanted.contains(id)));
    assert!(rows.values().all(|row| row["source"] == "list" && row["channel_id"].is_string()));

    // A channel by its handle and by its id is the same channel.
    let mut twins = crawl(&cluster, &site, "twins", &[channels[0]], &["--videos-per-channel", "3"]);
    twins.extend(["--channels".to_owned(), channels[0].id.clone()]);
    let crawled = report(&cluster, &twins, &[3]).await;
    let errors: Vec<&str> =
        crawled["results"].as_array().unwrap().iter().filter_map(|item| item["error"].as_str()).collect();
    assert!(errors.len() == 1 && errors[0].starts_with("duplicate: "), "{errors:?}");
    cluster.finish().await;
}

#[tokio::test]
async fn a_crawled_dataset_is_embedded_trained_on_and_predicted() {
    let site = YoutubeSite::start(World { channels: 6, ..World::default() }, Faults::none()).await;
    let cluster = start(2, &[]).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    let crawled = report(&cluster, &crawl(&cluster, &site, "set", &channels, &[]), &[0]).await;
    let dataset = cluster.folder().join("set").display().to_string();
    let embedded = cluster.json(&["embed", &dataset, "-o", "json"], &[0]).await;
    assert_eq!(embedded["succeeded"], crawled["thumbnails"]);
    let trained = cluster.json(&["train", &dataset, "--epochs", "3", "-o", "json"], &[0]).await;
    let predicted = cluster.json(&["predict", &dataset, "-o", "json"], &[0]).await;
    tests::say(&format!(
        "crawled {}, trained on {}, predicted: {}",
        crawled["thumbnails"],
        trained["split"],
        predicted.as_array().map_or(0, Vec::len)
    ));
    cluster.finish().await;
}
