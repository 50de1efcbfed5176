//! Datasets, manifests and exports in an object store: moto, a local S3 server.

use tests::{
    cluster::Cluster,
    fake_site::{FakeSite, Faults, Host, KEY, World},
    s3::S3,
};

/// Starts a cluster with its datasets and artifacts in the bucket.
async fn start_cluster(s3: &S3, more: &[(&str, &str)]) -> Cluster {
    Cluster::start_with(1, &s3.settings(more)).await
}

#[tokio::test]
async fn plain_http_bucket_bypasses_environment_proxies() {
    let folder = tempfile::tempdir().unwrap();
    let s3 = S3::start(&folder.path().join("s3.log")).await;
    // A proxy that refuses connections: a request through it would fail.
    let proxies = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].map(|name| (name, "http://127.0.0.1:1"));
    let cluster = start_cluster(&s3, &proxies).await;
    let sample = cluster.sample(4).await;
    s3.put("sets/sample/metadata.jsonl", std::fs::read(sample.join("metadata.jsonl")).unwrap()).await;
    let check = ["dataset", "check", "s3://bucket/sets/sample", "--rows-only", "-o", "json"];
    let checked = cluster.json(&check, &[0, 3]).await;
    assert_eq!(checked["rows"], 4);
    cluster.finish().await;
}

#[tokio::test]
async fn datasets_manifests_and_exports_work_in_a_bucket() {
    let folder = tempfile::tempdir().unwrap();
    let s3 = S3::start(&folder.path().join("s3.log")).await;
    let cluster = start_cluster(&s3, &[]).await;
    let sample = cluster.sample(60).await;
    s3.put("sets/sample/metadata.jsonl", std::fs::read(sample.join("metadata.jsonl")).unwrap()).await;
    for entry in std::fs::read_dir(sample.join("thumbnails")).unwrap() {
        let entry = entry.unwrap();
        let key = format!("sets/sample/thumbnails/{}", entry.file_name().to_str().unwrap());
        // Leave out one row's image.
        if !key.ends_with("s0-000011.jpg") {
            s3.put(&key, std::fs::read(entry.path()).unwrap()).await;
        }
    }

    let embed = cluster.json(&["embed", "s3://bucket/sets/sample", "-o", "json"], &[3]).await;
    assert_eq!((&embed["succeeded"], &embed["failed"]), (&59.into(), &1.into()));
    let reason = embed["failures"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("missing"), "{reason}");
    let run = cluster.json(&["train", "s3://bucket/sets/sample", "-o", "json"], &[0]).await;
    let export = ["export", "weights", "latest", "--out", "s3://bucket/exports/head.safetensors"];
    let exported = cluster.cli(&export).await;
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let head = s3.get("exports/head.safetensors").await;
    let header = String::from_utf8_lossy(&head);
    assert!(header.contains(run["weights_sha256"].as_str().unwrap()), "{header}");
    let checked = cluster.json(&["dataset", "check", "s3://bucket/sets/sample", "-o", "json"], &[3]).await;
    assert_eq!(checked["images"], 59);

    for (dataset, code, message) in [
        ("s3://bucket/elsewhere", 4, "outside the dataset roots"),
        ("s3://bucket/sets/../elsewhere", 4, "outside the dataset roots"),
        ("s3://other/sets", 4, "outside the dataset roots"),
        ("s3://bucket/sets/empty", 1, "empty"),
    ] {
        let refused = cluster.cli(&["embed", dataset]).await;
        let text = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(code), "{dataset}: {text}");
        assert!(text.contains(message), "{dataset}: {text}");
    }
    cluster.finish().await;
}

#[tokio::test]
async fn unusual_keys_are_named_and_the_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let s3 = S3::start(&folder.path().join("s3.log")).await;
    let cluster = start_cluster(&s3, &[]).await;
    let sample = cluster.sample(3).await;
    let image = std::fs::read(sample.join("thumbnails/s0-000000.jpg")).unwrap();
    for key in ["a.jpg", "x//b.jpg", "x/c.jfif", "x/d.tiff", "x/", "._e.jpg"] {
        s3.put(&format!("sets/odd/{key}"), image.clone()).await;
    }
    s3.put("sets/odd/x/metadata.csv", b"file_name,views\nc.jfif,3\n".to_vec()).await;
    let embed = cluster.json(&["embed", "s3://bucket/sets/odd", "-o", "json"], &[3]).await;
    assert_eq!((&embed["succeeded"], &embed["without_row"]), (&2.into(), &1.into()), "{embed}");
    let failure = &embed["failures"][0];
    assert_eq!((&embed["failed"], &failure["item"]), (&1.into(), &"x//b.jpg".into()));
    assert!(failure["reason"].as_str().unwrap().starts_with("refused: the key has an empty"), "{failure}");
    assert_eq!(embed["skipped_files"]["tiff"], 1);
    cluster.finish().await;
}

#[tokio::test]
async fn second_crawl_into_a_bucket_revalidates_thumbnails() {
    let folder = tempfile::tempdir().unwrap();
    let s3 = S3::start(&folder.path().join("s3.log")).await;
    let world = World { channels: 2, videos_per_channel: 12, ..World::default() };
    let site = FakeSite::start(world, Faults::none()).await;
    let settings = [
        ("SUBWATCH_FETCH_ALLOW", "127.0.0.1"),
        ("SUBWATCH_YOUTUBE_API_KEY", KEY),
        ("SUBWATCH_CRAWL_API_PER_SECOND", "1000"),
        ("SUBWATCH_CRAWL_IMAGE_PER_SECOND", "1000"),
    ];
    let cluster = start_cluster(&s3, &settings).await;
    let base = site.base().to_string();
    let channels =
        site.channels().iter().map(|channel| channel.handle.as_str()).collect::<Vec<_>>().join(",");
    let mut crawl = vec!["crawl", "--out", "s3://bucket/sets/crawled", "--channels", &channels, "-o", "json"];
    crawl.extend(["--api-base", &base, "--web-base", &base, "--image-base", &base]);
    let first = cluster.json(&crawl, &[0]).await;
    let checked = cluster.json(&["dataset", "check", "s3://bucket/sets/crawled", "-o", "json"], &[0]).await;
    assert_eq!((&checked["rows"], &checked["images"]), (&first["thumbnails"], &first["thumbnails"]));
    assert!(first["thumbnails"].as_u64().is_some_and(|thumbnails| thumbnails > 15), "{first}");
    let first_requests = site.requests().count();
    let second = cluster.json(&crawl, &[0]).await;
    assert_eq!(second["thumbnails"], first["thumbnails"]);
    let images = site.requests_after(first_requests).of(Host::Images);
    assert_eq!(images.answered(304).count(), images.count(), "no image was downloaded a second time");
    let embedded = cluster.json(&["embed", "s3://bucket/sets/crawled", "-o", "json"], &[0]).await;
    assert_eq!(embedded["succeeded"], first["thumbnails"]);
    cluster.finish().await;
}
