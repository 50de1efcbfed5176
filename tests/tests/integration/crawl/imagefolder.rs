//! Datasets that this system writes, read by the libraries that its users have: `datasets` and pandas.

use std::{collections::BTreeMap, fs, path::Path};

use common::store::State;
use serde_json::{Value, json};
use tests::{
    cluster::{Cluster, eventually},
    fake_site::{Channel, FakeSite, Faults, World},
    python::run,
};

use super::{contents, crawl, detach, report, rows, start};

/// Labels that a library reads, by image.
type Labels = BTreeMap<String, (Value, Value, Value)>;

fn labels(rows: impl IntoIterator<Item = Value>) -> Labels {
    let file = |row: &Value| {
        let name = row.get("file").or(row.get("file_name")).and_then(Value::as_str).unwrap();
        name.rsplit('/').next().unwrap().to_owned()
    };
    // pandas reads a column with missing values as floats.
    let number = |value: &Value| value.as_f64().map_or(Value::Null, Value::from);
    let labels = |row: &Value| (row["video_id"].clone(), number(&row["views"]), number(&row["subscribers"]));
    rows.into_iter().map(|row| (file(&row), labels(&row))).collect()
}

/// Checks that both libraries read every row of a dataset with its labels, and `datasets` its image.
fn check(dataset: &Path, want: usize) {
    let text = fs::read_to_string(dataset.join("metadata.jsonl")).unwrap();
    let written: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(written.len(), want, "{text}");
    let folder = dataset.display().to_string();
    for form in ["load", "pandas"] {
        let read: Vec<Value> = serde_json::from_str(&run("imagefolder.py", &[form, &folder])).unwrap();
        assert_eq!(read.len(), want, "{form}: {read:?}");
        assert_eq!(labels(read.clone()), labels(written.clone()), "{form}");
        if form == "load" {
            assert!(read.iter().all(|row| row["split"] == "train" && row["size"][0].as_u64() > Some(0)));
        }
    }
}

fn import(cluster: &Cluster, table: &str, images: &Path, out: &Path) -> Vec<String> {
    let table = cluster.folder().join(table).display().to_string();
    let [images, out] = [images, out].map(|path| path.display().to_string());
    let arguments = ["crawl", "import", &table, "--images", &images, "--out", &out, "-o", "json"];
    arguments.map(str::to_owned).to_vec()
}

#[tokio::test]
async fn crawled_imported_and_sampled_datasets_are_read_by_datasets_and_pandas() {
    let site = FakeSite::start(World { channels: 2, ..World::default() }, Faults::none()).await;
    let cluster = start(1, &[]).await;
    let sample = cluster.sample(12).await;
    check(&sample, 12);

    let crawled = cluster.folder().join("crawled");
    let channels: Vec<&Channel> = site.channels().iter().collect();
    let more = ["--videos-per-channel", "4"];
    report(&cluster, &crawl(&cluster, &site, "crawled", &channels, &more), &[0]).await;
    check(&crawled, 8);

    // Two tables with different columns, one of which has numbers in one table and texts in the other.
    let pictures = cluster.folder().join("pictures");
    fs::create_dir(&pictures).unwrap();
    for number in 0..4 {
        let name = format!("video{number:06}");
        let from = sample.join(format!("thumbnails/s0-{number:06}.jpg"));
        fs::copy(from, pictures.join(format!("{name}.jpg"))).unwrap();
    }
    let write = |name: &str, text: &str| fs::write(cluster.folder().join(name), text).unwrap();
    write("one.csv", "video_id,views,subscribers,mood\nvideo000000,,5,calm\nvideo000001,7,5,wild\n");
    write("two.jsonl", "{\"video_id\":\"video000002\",\"views\":9,\"subs\":2,\"mood\":3,\"part\":\"x\"}\n");
    let imported = cluster.folder().join("imported");
    for (table, rows) in [("one.csv", 2), ("two.jsonl", 3), ("one.csv", 3)] {
        let arguments = import(&cluster, table, &pictures, &imported);
        cluster.json(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[0]).await;
        check(&imported, rows);
    }
    assert_eq!(rows(&imported)["video000002"]["part"], "import-two");

    // Both into a dataset with rows of the user's own, which stay.
    let own = cluster.folder().join("own");
    fs::create_dir(&own).unwrap();
    fs::copy(pictures.join("video000003.jpg"), own.join("mine.jpg")).unwrap();
    let row =
        "{\"file_name\":\"mine.jpg\",\"video_id\":\"mine\",\"views\":1,\"subscribers\":2,\"mood\":null}\n";
    fs::write(own.join("metadata.jsonl"), row).unwrap();
    let arguments = import(&cluster, "one.csv", &pictures, &own);
    cluster.json(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[0]).await;
    report(&cluster, &crawl(&cluster, &site, "own", &channels[..1], &more), &[0]).await;
    check(&own, 7);
    // Crawling a channel again replaces its rows and no others.
    report(&cluster, &crawl(&cluster, &site, "own", &channels[..1], &["--videos-per-channel", "2"]), &[0])
        .await;
    check(&own, 5);
    let embedded = cluster.json(&["embed", &own.display().to_string(), "-o", "json"], &[0]).await;
    assert_eq!((&embedded["succeeded"], &embedded["without_row"]), (&7.into(), &2.into()), "{embedded}");

    // A dataset with other metadata is refused before anything is written.
    let table = cluster.folder().join("csv");
    fs::create_dir(&table).unwrap();
    fs::write(table.join("metadata.csv"), "file_name\n").unwrap();
    let failed = report(&cluster, &crawl(&cluster, &site, "csv", &channels[..1], &[]), &[1]).await;
    assert!(failed["error"].as_str().unwrap().starts_with("the dataset has metadata.csv"), "{failed}");
    let arguments = import(&cluster, "one.csv", &pictures, &table);
    let refused = cluster.cli(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(fs::read_dir(&table).unwrap().count(), 1);
    cluster.finish().await;
}

#[tokio::test]
async fn rows_are_written_although_the_coordinator_dies_before() {
    let site = FakeSite::start(World { channels: 2, ..World::default() }, Faults::none()).await;
    let mut cluster = start(1, &[]).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    let more = ["--videos-per-channel", "3"];
    report(&cluster, &crawl(&cluster, &site, "undisturbed", &channels, &more), &[0]).await;

    let folder = cluster.folder().join("disturbed/.subwatch");
    fs::create_dir_all(&folder).unwrap();
    let lock = fs::File::create(folder.join("metadata.lock")).unwrap();
    lock.lock().unwrap();
    let id = detach(&cluster, &crawl(&cluster, &site, "disturbed", &channels, &more)).await;
    let store = cluster.store.clone();
    eventually("the jobs are finished", || async {
        let crawl = store.submission(id).await.unwrap().unwrap();
        crawl.awaits_leader()
    })
    .await;
    assert!(!cluster.folder().join("disturbed/metadata.jsonl").exists());
    cluster.coordinator.kill().await;
    cluster.restart_coordinator().await;
    assert_eq!(cluster.submission(id).await.state, State::Running);
    drop(lock);
    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.state, ended.succeeded), (State::Succeeded, 2));
    let [undisturbed, disturbed] =
        ["undisturbed", "disturbed"].map(|name| contents(&cluster.folder().join(name)));
    assert_eq!(undisturbed, disturbed);
    cluster.finish().await;
}

#[tokio::test]
async fn a_cancelled_crawl_keeps_the_rows_it_has() {
    let site = FakeSite::start(World { channels: 2, ..World::default() }, Faults::none()).await;
    // The second channel's thumbnails wait for a rate limit that the first one has used up.
    let cluster = start(1, &[("SUBWATCH_CRAWL_IMAGE_PER_SECOND", "4")]).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    let id =
        detach(&cluster, &crawl(&cluster, &site, "set", &channels, &["--videos-per-channel", "8"])).await;
    let store = cluster.store.clone();
    eventually("one channel is crawled", || async {
        store.submission(id).await.unwrap().unwrap().succeeded == 1
    })
    .await;
    cluster.json(&["cancel", &id.to_string(), "-o", "json"], &[0]).await;
    let metadata = cluster.folder().join("set/metadata.jsonl");
    eventually("the rows are written", || async { metadata.exists() }).await;
    let crawled = rows(&cluster.folder().join("set"));
    assert!(!crawled.is_empty() && crawled.len() <= 8, "{crawled:?}");
    assert_eq!(
        crawled.values().map(|row| &row["channel_id"]).collect::<std::collections::HashSet<_>>().len(),
        1
    );
    assert_eq!(json!(crawled.len()), json!(fs::read_to_string(&metadata).unwrap().lines().count()));
    cluster.finish().await;
}
