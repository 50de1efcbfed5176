//! Complete datasets from each source, and their use.

use std::collections::HashMap;

use common::digest::Digest;
use serde_json::Value;
use tests::fake_site::{Channel, FakeSite, Fault, Faults, Host, KEY, Order, Rule, World};

use super::{contents, crawl, expected_videos, report, rows, start};

#[tokio::test]
async fn data_api_crawl_makes_a_dataset_and_a_second_crawl_revalidates_it() {
    let site = FakeSite::start(World { channels: 6, ..World::default() }, Faults::none()).await;
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
        let videos: HashMap<&str, _> =
            channel.videos.iter().map(|video| (video.id.as_str(), video)).collect();
        let channel_rows: Vec<&Value> =
            rows.values().filter(|row| row["channel_id"] == channel.id.as_str()).collect();
        assert!(channel_rows.len() >= 10, "{} of 12 rows of {}", channel_rows.len(), channel.handle);
        for row in channel_rows {
            let video = videos[row["video_id"].as_str().unwrap()];
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
            let picture = images::decode::decode(&file).unwrap();
            assert_eq!(row["thumbnail_width"], picture.width);
            assert_eq!(row["thumbnail_height"], picture.height);
        }
    }
    let first = site.requests();
    let image_requests = first.of(Host::Images).per_path();
    assert!(
        image_requests.values().all(|count| *count == 1),
        "a thumbnail was requested twice: {image_requests:?}"
    );
    assert_eq!(first.of(Host::Web).count(), 0, "the Data API source requested a page");
    tests::print_line(&format!(
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
    assert_eq!(second.count(), rows.len(), "each stored thumbnail is revalidated once");
    let unchanged: u64 = again["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["crawled"]["unchanged"].as_u64().unwrap())
        .sum();
    assert_eq!(unchanged, rows.len() as u64);
    assert!(contents(&dataset) == before, "the dataset must stay identical");
    cluster.finish().await;
}

#[tokio::test]
async fn pages_are_read_only_with_the_flag_and_where_robots_txt_allows() {
    let site =
        FakeSite::start(World { channels: 4, videos_per_channel: 70, ..World::default() }, Faults::none())
            .await;
    let cluster = start(2, &[]).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    let pages = ["--source", "page", "--videos-per-channel", "50"];
    let without_flag = cluster
        .cli(
            &crawl(&cluster, &site, "pages", &channels, &pages)
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>(),
        )
        .await;
    assert_eq!(without_flag.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&without_flag.stderr).contains("--read-pages"));
    assert_eq!(site.requests().count(), 0, "a request was sent without --read-pages");

    // Like YouTube's, the site's robots.txt allows a channel's page but not its continuations.
    let pages = [&pages[..], &["--read-pages"]].concat();
    let newest = report(&cluster, &crawl(&cluster, &site, "pages", &channels, &pages), &[0]).await;
    for item in newest["results"].as_array().unwrap() {
        assert!(item["crawled"]["truncated_reason"].as_str().unwrap().contains("robots.txt"), "{item}");
    }
    let rows_of_pages = rows(&cluster.folder().join("pages"));
    assert!(rows_of_pages.values().all(|row| row["source"] == "page" && row.get("published").is_none()));
    assert_eq!(site.requests().to("/youtubei/v1/browse").count(), 0);
    assert_eq!(site.requests().to("/robots.txt").count(), 1, "robots.txt is fetched once per fleet");
    let popular = [&pages[..], &["--order", "popular"]].concat();
    let refused = report(&cluster, &crawl(&cluster, &site, "popular", &channels, &popular), &[3]).await;
    for item in refused["results"].as_array().unwrap() {
        let error = item["error"].as_str().unwrap();
        assert!(
            error.starts_with("refused: ") && error.contains("use --order newest or --source api"),
            "{error}"
        );
    }
    tests::print_line(&format!("pages only: {} rows of {} channels", rows_of_pages.len(), channels.len()));
    cluster.finish().await;
}

#[tokio::test]
async fn page_crawl_makes_a_dataset_where_robots_txt_allows_everything() {
    // A site without a robots.txt.
    let open = Rule::at("/robots.txt", Fault::NotFound);
    let world = World { channels: 6, videos_per_channel: 70, ..World::default() };
    let site = FakeSite::start(world, Faults::of([open])).await;
    let cluster = start(2, &[]).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    for (order, listed) in [("popular", Order::Popular), ("newest", Order::Latest)] {
        let pages = ["--source", "page", "--read-pages", "--order", order, "--videos-per-channel", "45"];
        let crawled = report(&cluster, &crawl(&cluster, &site, order, &channels, &pages), &[0]).await;
        let rows = rows(&cluster.folder().join(order));
        for channel in &channels {
            let expected = expected_videos(channel, listed, 45);
            let missing: Vec<&String> = expected.iter().filter(|id| !rows.contains_key(*id)).collect();
            // A video without a usable thumbnail has no row.
            assert!(missing.len() <= 5, "{missing:?} of {} are missing, {order}: {crawled}", channel.handle);
            for video in channel.videos.iter().filter(|video| rows.contains_key(&video.id)) {
                let row = &rows[&video.id];
                let (views, exact) = (row["views"].as_u64().unwrap(), row["views_approximate"] == false);
                assert!(if exact { views == video.views } else { views <= video.views }, "{row} {video:?}");
                assert!(views * 2 >= video.views, "{row} {video:?}");
            }
        }
        tests::print_line(&format!("{order}: {} rows of {} channels from pages", rows.len(), channels.len()));
    }
    cluster.finish().await;
}

#[tokio::test]
async fn video_lists_are_crawled_and_duplicate_channels_are_detected() {
    let site = FakeSite::start(World { channels: 3, ..World::default() }, Faults::none()).await;
    let cluster = start(1, &[]).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    let expected: Vec<String> =
        channels.iter().flat_map(|channel| expected_videos(channel, Order::Latest, 20)).collect();
    let mut list = expected.clone();
    list.push("nosuchvideo".to_owned());
    let file = cluster.folder().join("list.txt");
    std::fs::write(&file, list.join("\n")).unwrap();
    let videos = ["--videos", file.to_str().unwrap()];
    let crawled = report(&cluster, &crawl(&cluster, &site, "list", &[], &videos), &[0]).await;
    assert_eq!(crawled["items"], 2, "an item has up to 50 videos");
    let rows = rows(&cluster.folder().join("list"));
    assert!(rows.len() + 5 >= expected.len() && rows.keys().all(|id| expected.contains(id)));
    assert!(rows.values().all(|row| row["source"] == "list" && row["channel_id"].is_string()));

    // A handle and an ID of the same channel are duplicates.
    let mut duplicates = crawl(&cluster, &site, "duplicates", &[channels[0]], &["--videos-per-channel", "3"]);
    duplicates.extend(["--channels".to_owned(), channels[0].id.clone()]);
    let crawled = report(&cluster, &duplicates, &[3]).await;
    let errors: Vec<&str> =
        crawled["results"].as_array().unwrap().iter().filter_map(|item| item["error"].as_str()).collect();
    assert!(errors.len() == 1 && errors[0].starts_with("duplicate: "), "{errors:?}");
    cluster.finish().await;
}

#[tokio::test]
async fn crawled_dataset_can_be_embedded_trained_on_and_predicted() {
    let site = FakeSite::start(World { channels: 6, ..World::default() }, Faults::none()).await;
    let cluster = start(2, &[]).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    let crawled = report(&cluster, &crawl(&cluster, &site, "set", &channels, &[]), &[0]).await;
    let dataset = cluster.folder().join("set").display().to_string();
    let embedded = cluster.json(&["embed", &dataset, "-o", "json"], &[0]).await;
    assert_eq!(embedded["succeeded"], crawled["thumbnails"]);
    let trained = cluster.json(&["train", &dataset, "--epochs", "3", "-o", "json"], &[0]).await;
    let predicted = cluster
        .json(&["predict", &dataset, "--run", trained["run"].as_str().unwrap(), "-o", "json"], &[0])
        .await;
    tests::print_line(&format!(
        "crawled {}, trained on {}, predicted: {}",
        crawled["thumbnails"],
        trained["split"],
        predicted.as_array().map_or(0, Vec::len)
    ));
    cluster.finish().await;
}
