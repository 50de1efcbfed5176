//! Crawls into datasets that hold files of others.

use std::fs;

use serde_json::json;
use tests::fake_site::{Channel, FakeSite, Faults, Order, World};

use super::{crawl, expected_videos, report, rows, start};

#[tokio::test]
async fn files_and_rows_that_no_crawl_wrote_stay() {
    let site = FakeSite::start(World { channels: 1, ..World::default() }, Faults::none()).await;
    let cluster = start(1, &[]).await;
    let channel: &Channel = &site.channels()[0];
    let videos = expected_videos(channel, Order::Latest, 5);
    let dataset = cluster.folder().join("set");
    fs::create_dir_all(dataset.join("thumbnails")).unwrap();
    fs::create_dir_all(dataset.join("mine")).unwrap();
    let image = fs::read(
        cluster.sample(1).await.join("thumbnails").read_dir().unwrap().next().unwrap().unwrap().path(),
    );
    let image = image.unwrap();
    // One video with a thumbnail of that name, and one with another image.
    let (same, other) = (format!("thumbnails/{}.jpg", videos[0]), format!("mine/{}.jpg", videos[1]));
    let mut text = String::new();
    for (file, video) in [(&same, &videos[0]), (&other, &videos[1])] {
        fs::write(dataset.join(file), &image).unwrap();
        text += &format!("{}\n", json!({"file_name": file, "video_id": video, "views": 7}));
    }
    fs::write(dataset.join("metadata.jsonl"), text).unwrap();

    let arguments = crawl(&cluster, &site, "set", &[channel], &["--videos-per-channel", "5"]);
    for _ in 0..2 {
        let crawled = report(&cluster, &arguments, &[0, 3]).await;
        assert_eq!(crawled["results"][0]["crawled"]["skipped"]["thumbnail duplicate"], json!(1), "{crawled}");
        assert_eq!(fs::read(dataset.join(&same)).unwrap(), image, "the file was replaced");
        let rows = rows(&dataset);
        assert_eq!(rows.len(), 5);
        assert_eq!((&rows[&videos[0]]["file_name"], &rows[&videos[0]]["views"]), (&json!(same), &json!(7)));
        assert_eq!(rows[&videos[1]]["file_name"], json!(other));
        assert!(rows[&videos[2]]["part"].is_string());
    }
    let checked =
        cluster.json(&["dataset", "check", &dataset.display().to_string(), "-o", "json"], &[0, 3]).await;
    assert_eq!(checked["rows"], json!(5), "the dataset is readable: {checked}");
    cluster.finish().await;
}

#[tokio::test]
async fn thumbnails_without_rows_get_them_unless_they_differ() {
    let site = FakeSite::start(World { channels: 1, ..World::default() }, Faults::none()).await;
    let cluster = start(1, &[]).await;
    let channel: &Channel = &site.channels()[0];
    let arguments = crawl(&cluster, &site, "set", &[channel], &["--videos-per-channel", "4"]);
    report(&cluster, &arguments, &[0]).await;
    let dataset = cluster.folder().join("set");
    // As an interrupted crawl leaves it; one file was replaced since.
    fs::remove_file(dataset.join("metadata.jsonl")).unwrap();
    fs::remove_dir_all(dataset.join(".subwatch")).unwrap();
    let videos = expected_videos(channel, Order::Latest, 4);
    let file = |video: &str| dataset.join(format!("thumbnails/{video}.jpg"));
    let written = |video: &str| fs::metadata(file(video)).unwrap().modified().unwrap();
    fs::write(file(&videos[0]), "mine").unwrap();
    let before: Vec<_> = videos.iter().map(|video| written(video)).collect();

    let crawled = report(&cluster, &arguments, &[0, 3]).await;
    assert_eq!(crawled["results"][0]["crawled"]["skipped"]["thumbnail duplicate"], json!(1), "{crawled}");
    let rows = rows(&dataset);
    assert_eq!(rows.len(), 3);
    assert!(videos[1..].iter().all(|video| rows.contains_key(video)), "{rows:?}");
    assert_eq!(videos.iter().map(|video| written(video)).collect::<Vec<_>>(), before);
    assert_eq!(fs::read(file(&videos[0])).unwrap(), b"mine");
    cluster.finish().await;
}

#[tokio::test]
async fn base_urls_of_other_hosts_are_refused() {
    let site = FakeSite::start(World { channels: 1, ..World::default() }, Faults::none()).await;
    let cluster = start(0, &[("SUBWATCH_FETCH_ALLOW", "127.0.0.1")]).await;
    let channel: &Channel = &site.channels()[0];
    let arguments = crawl(&cluster, &site, "set", &[channel], &[]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = cluster.cli(&arguments).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        stderr.contains("image_base is http://localhost:") && stderr.contains("SUBWATCH_FETCH_ALLOW"),
        "{stderr}"
    );
    assert!(!cluster.folder().join("set").exists());
    cluster.finish().await;
}
