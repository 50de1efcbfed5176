//! Crawls of a fake site that behaves like YouTube: complete datasets, faults and refusals.

mod faulty;
mod fleet;
mod imagefolder;
mod import;
mod lists;
mod obstacles;
mod others_files;
mod ranking;
mod sources;

use std::{collections::BTreeMap, path::Path};

use common::ids::SubmissionId;
use serde_json::Value;
use tests::{
    cluster::Cluster,
    fake_site::{Channel, FakeSite, KEY, Kind, Order},
};

/// Starts a cluster with rate limits too high to matter.
async fn start(workers: usize, more: &[(&str, &str)]) -> Cluster {
    let mut settings = vec![
        ("SUBWATCH_FETCH_ALLOW", "127.0.0.1,localhost"),
        ("SUBWATCH_YOUTUBE_API_KEY", KEY),
        ("SUBWATCH_CRAWL_WEB_PER_SECOND", "1000"),
        ("SUBWATCH_CRAWL_API_PER_SECOND", "1000"),
        ("SUBWATCH_CRAWL_IMAGE_PER_SECOND", "1000"),
        ("SUBWATCH_CRAWL_BACKOFF_SECONDS", "2"),
    ];
    settings.extend(more);
    let settings: Vec<(&str, String)> =
        settings.into_iter().map(|(key, value)| (key, value.to_owned())).collect();
    Cluster::start_with(workers, &settings).await
}

/// Returns the arguments of a crawl of `channels` into the dataset `out` of the cluster.
fn crawl(cluster: &Cluster, site: &FakeSite, out: &str, channels: &[&Channel], more: &[&str]) -> Vec<String> {
    // As on the real site, thumbnails have a separate host.
    let (base, images) = (site.base().to_string(), format!("http://localhost:{}/", site.port()));
    let mut arguments: Vec<String> = ["crawl", "--out"].map(str::to_owned).to_vec();
    arguments.push(cluster.folder().join(out).display().to_string());
    for (flag, base) in [("--api-base", &base), ("--web-base", &base), ("--image-base", &images)] {
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
    for line in std::fs::read_to_string(dataset.join("metadata.jsonl")).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let id = row["video_id"].as_str().unwrap().to_owned();
        assert!(rows.insert(id, row).is_none(), "a video has two rows");
    }
    rows
}

/// Returns all non-hidden files of a dataset with their bytes. Rows are without `crawled_at`.
fn contents(dataset: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let text = std::fs::read_to_string(dataset.join("metadata.jsonl")).unwrap();
    let line = |line: &str| {
        let (before, rest) = line.split_once("\"crawled_at\":\"").unwrap();
        format!("{before}{}\n", rest.split_once('"').unwrap().1)
    };
    files.insert("metadata.jsonl".to_owned(), text.lines().map(line).collect::<String>().into_bytes());
    for file in std::fs::read_dir(dataset.join("thumbnails")).unwrap().flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        // Temporary files of killed processes are hidden and not part of the dataset.
        if !name.starts_with('.') {
            files.insert(format!("thumbnails/{name}"), std::fs::read(file.path()).unwrap());
        }
    }
    files
}

/// Returns the videos of a channel that a crawl should take, from the site's data.
fn expected_videos(channel: &Channel, order: Order, limit: usize) -> Vec<String> {
    let plain = channel.listed(order).into_iter().filter(|video| video.kind == Kind::Plain);
    let mut ids: Vec<String> = Vec::new();
    for video in plain {
        if !ids.contains(&video.id) {
            ids.push(video.id.clone());
        }
    }
    ids.truncate(limit);
    ids
}
