//! Datasets as people of the trade have them: metadata in other formats and folders, names and files of any kind.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt, path::Path};

use dataset::{
    files::Files,
    metadata::{merge, part_file},
};
use serde_json::{Value, json};
use tests::{cluster::Cluster, python::run};
use url::Url;

/// Copies thumbnails of a sample into a folder under these names.
fn copy(sample: &Path, folder: &Path, names: &[&[u8]]) {
    for (number, name) in names.iter().enumerate() {
        let path = folder.join(OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(sample.join(format!("thumbnails/s0-{number:06}.jpg")), path).unwrap();
    }
}

fn items(report: &Value) -> Vec<&str> {
    report.as_array().unwrap().iter().map(|line| line["item"].as_str().unwrap()).collect()
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}

#[tokio::test]
async fn every_image_is_embedded_and_everything_else_is_named_or_counted() {
    let cluster = Cluster::start(1).await;
    let sample = cluster.sample(30).await;
    let set = cluster.folder().join("set");
    let names: [&[u8]; 9] = [
        b"store/a.jpg",
        b"store/b.jpg",
        b"c.jfif",
        b"d.JPE",
        b"e.tiff",
        b"._f.jpg",
        b"Ni\xf1o.jpg",
        b".git/g.jpg",
        b"h.jpg",
    ];
    copy(&sample, &set, &names);
    fs::write(set.join("notes.txt"), "x").unwrap();
    std::os::unix::fs::symlink("store", set.join("thumbnails")).unwrap();
    // A folder elsewhere below the roots, and one outside of them.
    copy(&sample, &cluster.folder().join("big"), &[b"z.jpg"]);
    std::os::unix::fs::symlink(cluster.folder().join("big"), set.join("linked")).unwrap();
    let outside = tempfile::tempdir().unwrap();
    copy(&sample, outside.path(), &[b"secret.jpg"]);
    std::os::unix::fs::symlink(outside.path(), set.join("outside")).unwrap();
    std::os::unix::fs::symlink(".", set.join("cycle")).unwrap();
    let rows = "\u{feff}{\"file_name\":\"./thumbnails/a.jpg\",\"views\":10,\"subscribers\":2,\"title\":NaN,\"video_id\":12345}\r\n\
        {\"file_name\":\"thumbnails\\\\b.jpg\",\"views\":3,\"subscribers\":2}\r\n{\"file_name\":\"none.jpg\"}\n";
    fs::write(set.join("metadata.jsonl"), rows).unwrap();
    let path = set.display().to_string();

    let embedded = cluster.json(&["embed", &path, "-o", "json"], &[3]).await;
    assert_eq!(
        (&embedded["succeeded"], &embedded["failed"], &embedded["without_row"]),
        (&6.into(), &3.into(), &4.into())
    );
    assert_eq!(embedded["skipped_files"], json!({"tiff": 1, "txt": 1}));
    let failures: Vec<(&str, &str)> = embedded["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| (failure["item"].as_str().unwrap(), failure["reason"].as_str().unwrap()))
        .collect();
    assert!(failures[0].0 == "none.jpg" && failures[0].1.starts_with("missing"), "{failures:?}");
    assert!(failures[1].0 == "Ni\\xf1o.jpg" && failures[1].1.contains("not UTF-8"), "{failures:?}");
    let is_outside = failures[2].0 == "outside" && failures[2].1.contains("a link to a place outside");
    assert!(is_outside, "{failures:?}");
    let text = cluster.cli(&["embed", &path]).await;
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(
        text.contains("no row      4 images, embedded as well") && text.contains("skipped     1 tiff, 1 txt"),
        "{text}"
    );

    let checked = cluster.json(&["dataset", "check", &path, "-o", "json"], &[3]).await;
    assert_eq!((&checked["rows"], &checked["items"], &checked["images"]), (&3.into(), &6.into(), &6.into()));
    assert_eq!(checked["files_without_row"], json!(["c.jfif", "d.JPE", "h.jpg", "linked/z.jpg"]));
    assert_eq!(checked["skipped_files"], json!({"tiff": 1, "txt": 1}));

    // `train` skips images without a row, with the reason.
    let labelled = cluster.folder().join("labelled");
    copy(&sample, &labelled.join("more"), &[b"x.jpg", b"y.jpg"]);
    fs::create_dir(labelled.join("thumbnails")).unwrap();
    for entry in fs::read_dir(sample.join("thumbnails")).unwrap().flatten() {
        fs::copy(entry.path(), labelled.join("thumbnails").join(entry.file_name())).unwrap();
    }
    fs::copy(sample.join("metadata.jsonl"), labelled.join("metadata.jsonl")).unwrap();
    let run =
        cluster.json(&["train", &labelled.display().to_string(), "--epochs", "1", "-o", "json"], &[0]).await;
    assert_eq!(run["skipped"], json!([{"reason": "no metadata row", "items": 2}]), "{run}");
    cluster.finish().await;
}

#[tokio::test]
async fn metadata_is_read_in_each_format_and_folder_of_the_imagefolder_convention() {
    let cluster = Cluster::start(0).await;
    let sample = cluster.sample(8).await;
    let check = async |folder: &Path| {
        let path = folder.display().to_string();
        cluster.json(&["dataset", "check", &path, "--target", "views", "-o", "json"], &[0, 3]).await
    };
    let want = check(&sample).await;
    assert_eq!((&want["rows"], &want["labels"]["items"]), (&8.into(), &8.into()));
    run("imagefolder.py", &["tables", &sample.display().to_string()]);
    for codec in ["snappy", "gzip", "zstd", "none"] {
        let found = check(Path::new(&format!("{}-{codec}", sample.display()))).await;
        for part in ["rows", "items", "labels", "channels", "warnings", "problems", "skipped"] {
            assert_eq!(found[part], want[part], "{codec}: {part}");
        }
    }
    let brotli = format!("{}-brotli", sample.display());
    let refused = cluster.cli(&["dataset", "check", &brotli]).await;
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        error.contains("metadata.parquet cannot be read") && error.contains("snappy, gzip or zstd"),
        "{error}"
    );

    let split = cluster.folder().join("split");
    for (part, numbers) in [("train", 0..5), ("test", 5..8)] {
        let mut csv = "file_name,views,subscribers,video_id\n".to_owned();
        fs::create_dir_all(split.join(part)).unwrap();
        for number in numbers {
            fs::copy(
                sample.join(format!("thumbnails/s0-{number:06}.jpg")),
                split.join(format!("{part}/{number}.jpg")),
            )
            .unwrap();
            csv += &format!("{number}.jpg,{number},2,\n");
        }
        fs::write(split.join(part).join("metadata.csv"), csv).unwrap();
    }
    let found = check(&split).await;
    assert_eq!(
        (&found["rows"], &found["labels"]["items"], &found["problems"]),
        (&8.into(), &8.into(), &json!([]))
    );
    let peer: Vec<Value> =
        serde_json::from_str(&run("imagefolder.py", &["load", &split.display().to_string()])).unwrap();
    assert_eq!(peer.len(), 8, "`datasets` reads the same rows");
    cluster.finish().await;
}

#[tokio::test]
async fn uploaded_folder_has_the_items_that_the_coordinator_reads() {
    let cluster = Cluster::start(1).await;
    let sample = cluster.sample(60).await;
    cluster.json(&["train", &sample.display().to_string(), "--epochs", "1", "-o", "json"], &[0]).await;
    let inside = cluster.folder().join("mixed");
    let outside = tempfile::tempdir().unwrap();
    for folder in [&inside, &outside.path().join("mixed")] {
        copy(
            &sample,
            folder,
            &[b"b.jpg", b"sub/a.jpg", b"c.jfif", b"._d.jpg", b".e/f.jpg", b"\xff.jpg", b"g.tiff"],
        );
        fs::write(folder.join("empty.png"), "").unwrap();
        let rows =
            "{\"file_name\":\"none.jpg\"}\n{\"file_name\":\"sub/a.jpg\"}\n{\"file_name\":\"g.tiff\"}\n";
        fs::write(folder.join("metadata.jsonl"), rows).unwrap();
    }
    let (inside, uploaded) =
        (inside.display().to_string(), outside.path().join("mixed").display().to_string());
    let read = cluster.json(&["predict", &inside, "-o", "json"], &[3]).await;
    let sent = cluster.json(&["predict", &uploaded, "-o", "json"], &[3]).await;
    let want = ["\\xff.jpg", "b.jpg", "c.jfif", "empty.png", "g.tiff", "none.jpg", "sub/a.jpg"];
    // Predictions are ranked, and equal ones have equal ranks.
    assert_eq!(sorted(items(&read)), want);
    assert_eq!(items(&sent), items(&read));
    for (read, sent) in read.as_array().unwrap().iter().zip(sent.as_array().unwrap()) {
        assert_eq!(read["prediction"], sent["prediction"], "{read} {sent}");
    }
    // With several arguments, names begin with the folder's in both cases.
    let both = cluster.json(&["predict", &inside, &uploaded, "-o", "json"], &[3]).await;
    let names = [&inside, &uploaded].map(|folder| want.map(|name| format!("{folder}/{name}"))).concat();
    assert_eq!(sorted(items(&both)), sorted(names.iter().map(String::as_str).collect()));
    cluster.finish().await;
}

#[tokio::test]
async fn a_folder_without_metadata_renames_no_video() {
    let cluster = Cluster::start(1).await;
    let sample = cluster.sample(6).await;
    let images = sample.join("thumbnails").display().to_string();
    cluster.json(&["embed", &images, "-o", "json"], &[0]).await;
    let similar = async || cluster.json(&["similar", "s0-000001", "-k", "1", "-o", "json"], &[0]).await;
    assert_eq!(cluster.cli(&["similar", "s0-000001"]).await.status.code(), Some(5));
    cluster.json(&["embed", &sample.display().to_string(), "-o", "json"], &[0]).await;
    let first = similar().await;
    cluster.json(&["embed", &images, "-o", "json"], &[0]).await;
    let second = similar().await;
    assert_eq!(first, second);
    let neighbour = &second["neighbours"][0];
    assert!(neighbour["video_id"].as_str().unwrap().starts_with("s0-"), "{neighbour}");
    assert!(neighbour["dataset"].as_str().unwrap().ends_with("/sample-6/"), "{neighbour}");
    let other = &neighbour["other_names"][0];
    assert!(
        other["video_id"].is_null() && other["dataset"].as_str().unwrap().ends_with("/thumbnails/"),
        "{other}"
    );
    cluster.finish().await;
}

#[tokio::test]
async fn all_groups_of_duplicate_images_are_in_the_json() {
    let cluster = Cluster::start(0).await;
    let sample = cluster.sample(30).await;
    let set = cluster.folder().join("set");
    let names: Vec<String> = (0..30).map(|number| format!("one/{number}.jpg")).collect();
    let again: Vec<String> = (0..30).map(|number| format!("two/{number}.jpg")).collect();
    for names in [names, again] {
        copy(&sample, &set, &names.iter().map(String::as_bytes).collect::<Vec<_>>());
    }
    let path = set.display().to_string();
    let checked = cluster.json(&["dataset", "check", &path, "-o", "json"], &[0]).await;
    assert_eq!(checked["duplicate_images"], 30);
    assert_eq!(checked["duplicate_image_groups"].as_array().unwrap().len(), 30);
    let text = cluster.cli(&["dataset", "check", &path]).await;
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("… and 25 more: use -o json"), "{text}");
    cluster.finish().await;
}

/// Arrow reads JSON in blocks of 10 MB, and `datasets` takes the columns of the first for all.
#[tokio::test]
async fn columns_of_large_metadata_are_read_by_datasets() {
    const ROWS: usize = 30_000;
    let folder = tempfile::tempdir().unwrap();
    let files = Files::open(&Url::from_directory_path(folder.path()).unwrap()).unwrap();
    fs::create_dir_all(folder.path().join(".subwatch/parts")).unwrap();
    let padding = "x".repeat(500);
    let row = |number: usize, more: &str| {
        format!("{{\"file_name\":\"{number}.jpg\",\"part\":\"p\",\"title\":\"{padding}\"{more}}}\n")
    };
    let mut text: String = (0..ROWS).map(|number| row(number, ",\"published\":\"2026-01-01\"")).collect();
    for number in ROWS..2 * ROWS {
        text += &row(number, ",\"published\":\"2014\",\"views\":7,\"thumbnail_crop\":[0,1,2,3]");
    }
    fs::write(folder.path().join(part_file("p")), text).unwrap();
    merge(&files, &["p".to_owned()]).await.unwrap();
    fs::write(folder.path().join("0.jpg"), "").unwrap();
    let columns = run("imagefolder.py", &["columns", &folder.path().display().to_string()]);
    let columns: Value = serde_json::from_str(&columns).unwrap();
    assert_eq!(
        (&columns["types"]["views"], &columns["types"]["published"]),
        (&"int64".into(), &"string".into()),
        "{columns}"
    );
    let values = |column: &str| columns["values"][column].as_u64().unwrap() as usize;
    assert_eq!((values("views"), values("published"), values("part")), (ROWS, 2 * ROWS, 2 * ROWS));
}
