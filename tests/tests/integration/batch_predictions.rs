//! Batch predictions: files that the workers write, complete or without a manifest.

use std::{collections::BTreeMap, os::unix::fs::symlink, path::Path};

use common::{
    broker::{BrokerConfig, Publisher},
    embedding::Space,
    ids::{JobId, SubmissionId},
    job::{
        args::{Chunk, JobArgs, PredictArgs},
        envelope::Envelope,
        kind::Kind,
        output::Output,
    },
    store::State,
    topology::Route,
};
use dataset::files::parts;
use serde_json::{Value, json};
use tests::{
    cluster::{Cluster, eventually},
    python,
    s3::S3,
};
use url::Url;

/// The predictions of a command without `--out`, or the rows of files: item → prediction, or its error.
fn by_item(lines: &Value) -> BTreeMap<String, Result<u64, String>> {
    let line = |line: &Value| {
        let prediction = line["prediction"].as_f64().map(f64::to_bits);
        let error = || line["error"].as_str().unwrap().to_owned();
        (line["item"].as_str().unwrap().to_owned(), prediction.ok_or_else(error))
    };
    lines.as_array().unwrap().iter().map(line).collect()
}

/// Reads a batch prediction with pyarrow and pandas.
async fn read(arguments: &[&str]) -> Value {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let printed = tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        python::run("predictions.py", &arguments)
    });
    serde_json::from_str(&printed.await.unwrap()).unwrap()
}

/// Publishes a job of a submission several times more.
async fn publish_duplicates(cluster: &Cluster, s3: &S3, id: SubmissionId, index: u32) {
    let submission = cluster.submission(id).await;
    let layout = submission.manifest.unwrap();
    let url = |value: &Value| Url::parse(value.as_str().unwrap()).unwrap();
    let items = layout["part_items"].as_u64().unwrap() as u32;
    // The manifest is small, so it has one file.
    let folder = url(&layout["folder"]);
    let ends = s3.get(&format!("artifacts/manifests/{id}/00000.index")).await;
    let ends: Vec<u32> = ends.as_chunks().0.iter().map(|end| u32::from_le_bytes(*end)).collect();
    let chunk = Chunk {
        part: parts::part_url(&folder, 0),
        range: parts::range_of(&ends, index as usize),
        dataset: Some(url(&layout["dataset"])),
        index,
        first_item: u64::from(index * items),
        items,
    };
    let run = submission.spec["run"].as_str().unwrap().parse().unwrap();
    let space = layout["space"].as_str().map(|space| Space(space.to_owned()));
    let output: Output = serde_json::from_value(layout["output"].clone()).unwrap();
    let duplicate = Envelope {
        job: JobId::derive(id, Kind::Predict, &index.to_string()),
        submission: id,
        attempt: 1,
        max_attempts: 5,
        generation: 0,
        deadline_ms: None,
        traceparent: None,
        args: JobArgs::Predict(PredictArgs {
            chunk,
            run,
            space: space.clone(),
            output: Some(Box::new(output)),
        }),
    };
    let broker = BrokerConfig::new(cluster.vhost.amqp_url().into(), "test");
    let publisher = Publisher::connect(&broker).await.unwrap();
    for _ in 0..4 {
        publisher.publish(&duplicate, &Route::Predict(space.clone())).await.unwrap();
    }
}

async fn wait_until_prepared(cluster: &Cluster, id: SubmissionId) {
    eventually("the submission is prepared", || async { cluster.submission(id).await.manifest.is_some() })
        .await;
}

#[tokio::test]
async fn predictions_in_a_bucket_are_complete_after_crashes_and_duplicates() {
    let folder = tempfile::tempdir().unwrap();
    let s3 = S3::start(&folder.path().join("s3.log")).await;
    let mut cluster = Cluster::start_with(2, &s3.settings(&[])).await;
    let train = cluster.sample(60).await;
    s3.put_folder("sets/train", &train).await;
    let run = cluster.json(&["train", "s3://bucket/sets/train", "-o", "json"], &[0]).await;
    let sample = cluster.sample(300).await;
    // A row whose image does not exist is rejected before there are jobs; an empty image fails in its job.
    std::fs::remove_file(sample.join("thumbnails/s0-000011.jpg")).unwrap();
    std::fs::write(sample.join("thumbnails/s0-000222.jpg"), b"").unwrap();
    s3.put_folder("sets/new", &sample).await;

    let out = "s3://bucket/sets/out/1";
    // A console makes folders so; it is empty all the same.
    s3.put("sets/out/1/", Vec::new()).await;
    let mut predict = vec!["predict", "s3://bucket/sets/new", "--run", run["run"].as_str().unwrap()];
    let batch = [&predict[..], &["--out", out, "--shard-rows", "20", "--columns", "video_id,views"]].concat();
    let id = cluster.detach(&batch).await;
    wait_until_prepared(&cluster, id).await;
    publish_duplicates(&cluster, &s3, id, 3).await;
    let in_flight = cluster.pause_worker_with_job_in_flight(id, 0, |_| true).await;
    tests::print_line(&format!("killing a worker and the coordinator with jobs {in_flight:?} in flight"));
    cluster.workers[0].kill().await;
    cluster.coordinator.kill().await;
    assert!(!cluster.submission(id).await.state.is_terminal(), "it ended before the processes were killed");
    cluster.restart_coordinator().await;
    let ended = cluster.wait_for_end(id).await;
    assert_eq!(
        (ended.state, ended.succeeded, ended.failed),
        (State::CompletedWithErrors, 298, 2),
        "{ended:?}"
    );
    publish_duplicates(&cluster, &s3, id, 3).await;
    eventually("the late duplicates are consumed", || async {
        cluster.vhost.queue_counts().await.values().all(|count| *count == 0)
    })
    .await;

    let found = read(&["bucket/sets/out/1", &s3.endpoint]).await;
    let manifest = &found["manifest"];
    assert_eq!((&manifest["rows"], &manifest["failed_rows"]), (&300.into(), &2.into()));
    assert_eq!(manifest["shards"].as_array().unwrap().len(), 16, "15 jobs, and the rejected row");
    assert!(manifest["space"].as_str().is_some_and(|space| space.starts_with("resnet34-")), "{manifest}");
    assert_eq!(
        found["schema"],
        json!({"item": "string", "prediction": "double", "error": "string", "video_id": "string", "views": "int64"})
    );
    let row = |item: &str| {
        let named = |row: &&Value| row["item"].as_str().unwrap().contains(item);
        found["rows"].as_array().unwrap().iter().find(named).unwrap().clone()
    };
    assert!(row("s0-000011")["error"].as_str().unwrap().starts_with("missing: "));
    assert!(row("s0-000222")["error"].as_str().unwrap().starts_with("empty: "));
    assert!(row("s0-000222")["views"].is_u64());

    predict.extend(["-o", "json"]);
    let printed = cluster.json(&predict, &[3]).await;
    assert_eq!(by_item(&found["rows"]), by_item(&printed));
    let report = cluster.json(&["wait", &id.to_string(), "-o", "json"], &[3]).await;
    assert_eq!(report["output"]["manifest"], "s3://bucket/sets/out/1/_manifest.json");
    cluster.finish().await;
}

/// Writes a dataset whose rows have awkward values in `title`, `code`, `share`, `flag` and `extra`.
fn write_awkward(sample: &Path, dataset: &Path) {
    let rows = [
        json!({"title": "a, \"b\"; 'c'\n\td", "code": "007", "share": 1, "flag": true, "extra": [1, "x"]}),
        json!({"title": "😀 여행\u{202e}", "code": "1e5", "share": 2.5, "flag": null}),
        json!({"title": "", "code": "", "extra": {"a": null}}),
        json!({"title": "=1+1", "code": null, "share": -3, "flag": false, "extra": "y"}),
    ];
    std::fs::create_dir_all(dataset).unwrap();
    let mut lines = String::new();
    for (number, mut row) in rows.into_iter().enumerate() {
        let name = format!("s0-{number:06}.jpg");
        std::fs::copy(sample.join("thumbnails").join(&name), dataset.join(&name)).unwrap();
        row["file_name"] = name.into();
        // A title that was cut off within an emoji, and a number that Python writes.
        lines += &row.to_string().replace("=1+1", "=1+1\\ud83d").replace("\"flag\":null", "\"flag\":NaN");
        lines.push('\n');
    }
    std::fs::write(dataset.join("metadata.jsonl"), lines).unwrap();
    std::fs::copy(sample.join("thumbnails/s0-000009.jpg"), dataset.join("without-row.jpg")).unwrap();
}

#[tokio::test]
async fn columns_keep_awkward_values_in_both_formats() {
    let cluster = Cluster::start(1).await;
    let sample = cluster.sample(60).await;
    cluster.json(&["train", &sample.display().to_string(), "--name", "mine", "-o", "json"], &[0]).await;
    let dataset = cluster.folder().join("awkward");
    write_awkward(&sample, &dataset);
    let path = dataset.display().to_string();
    let columns = "title,code,share,flag,extra";
    let mut rows = Vec::new();
    for format in ["parquet", "jsonl"] {
        let out = cluster.folder().join("out").join(format).display().to_string();
        let predict =
            ["predict", &path, "--run", "mine", "--out", &out, "--format", format, "--columns", columns];
        let predict =
            [&predict[..], &["--idempotency-key", format, "--shard-rows", "2", "-o", "json"]].concat();
        let report = cluster.json(&predict, &[0]).await;
        assert_eq!((&report["items"], &report["output"]["shards"]), (&5.into(), &3.into()), "{report}");
        let repeated = cluster.json(&predict, &[0]).await;
        assert_eq!(repeated["submission"], report["submission"], "the key finds the first submission");
        let found = read(&[&out]).await;
        let kinds: Vec<&Value> =
            found["manifest"]["columns"].as_array().unwrap().iter().map(|column| &column["type"]).collect();
        assert_eq!(kinds, ["text", "number", "text", "text", "text", "number", "boolean", "text"]);
        rows.push(found["rows"].clone());
    }
    assert_eq!(rows[0], rows[1], "both formats have the same rows");
    let carried = |number: usize| {
        let row = &rows[0][number];
        json!([row["title"], row["code"], row["share"], row["flag"], row["extra"]])
    };
    assert_eq!(carried(0), json!(["a, \"b\"; 'c'\n\td", "007", 1.0, true, "[1,\"x\"]"]));
    assert_eq!(carried(1), json!(["😀 여행\u{202e}", "1e5", 2.5, null, null]));
    assert_eq!(carried(2), json!(["", "", null, null, "{\"a\":null}"]));
    assert_eq!(carried(3), json!(["=1+1\u{fffd}", null, -3.0, false, "y"]));
    assert_eq!(carried(4), json!([null, null, null, null, null]), "an image without a row");

    let out = cluster.folder().join("out/misspelt").display().to_string();
    let misspelt =
        cluster.cli(&["predict", &path, "--run", "mine", "--out", &out, "--columns", "titel"]).await;
    let text = String::from_utf8_lossy(&misspelt.stderr);
    assert!(text.contains("no row of the dataset has the column 'titel'"), "{text}");
    assert_eq!(misspelt.status.code(), Some(1));
    cluster.finish().await;
}

#[tokio::test]
async fn foreign_and_outside_folders_are_refused() {
    let outside = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(1).await;
    let sample = cluster.sample(20).await.display().to_string();
    let training = cluster.sample(60).await.display().to_string();
    cluster.json(&["train", &training, "--name", "mine", "-o", "json"], &[0]).await;
    let refuse = async |out: &Path, code: i32, message: &str| {
        let out = out.display().to_string();
        let refused = cluster.cli(&["predict", &sample, "--run", "mine", "--out", &out]).await;
        let text = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(code), "{out}: {text}");
        assert!(text.contains(message), "{out}: {text}");
    };
    let foreign = cluster.folder().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("part-00000.parquet"), b"mine").unwrap();
    refuse(&foreign, 1, "already has files: 'part-00000.parquet'; give an empty or new folder").await;
    assert_eq!(std::fs::read(foreign.join("part-00000.parquet")).unwrap(), b"mine");
    assert_eq!(std::fs::read_dir(&foreign).unwrap().count(), 1);

    refuse(outside.path(), 4, "outside the dataset roots").await;
    symlink(outside.path(), cluster.folder().join("link")).unwrap();
    refuse(&cluster.folder().join("link"), 4, "outside the dataset roots").await;
    refuse(&cluster.folder().join("link/new"), 4, "outside the dataset roots").await;
    refuse(&cluster.folder().join("artifacts/runs/mine"), 4, "which the coordinator writes itself").await;
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);

    // Hidden files are ignored; files of another submission are not.
    let out = cluster.folder().join("artifacts/predictions/1");
    std::fs::create_dir_all(&out).unwrap();
    std::fs::write(out.join(".DS_Store"), b"").unwrap();
    let predict = ["predict", &sample, "--run", "mine", "--out", &out.display().to_string(), "-o", "json"];
    let report = cluster.json(&predict, &[0]).await;
    let id = report["submission"].as_str().unwrap();
    refuse(&out, 1, &format!("already has files of submission {id}")).await;

    let usage = cluster.cli(&["predict", &sample, &training, "--out", "x"]).await;
    assert_eq!(usage.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&usage.stderr).contains("one folder or s3:// URL"));
    cluster.finish().await;
}

#[tokio::test]
async fn worker_writes_through_no_link() {
    let mut cluster = Cluster::start(1).await;
    let sample = cluster.sample(60).await.display().to_string();
    cluster.json(&["train", &sample, "--name", "mine", "-o", "json"], &[0]).await;
    cluster.workers[0].terminate().await;
    let out = cluster.folder().join("out");
    let text = out.display().to_string();
    let id = cluster.detach(&["predict", &sample, "--run", "mine", "--out", &text]).await;
    wait_until_prepared(&cluster, id).await;
    // The folder is replaced by a link to another one in the same root before the worker writes to it.
    let elsewhere = cluster.folder().join("elsewhere");
    std::fs::rename(&out, &elsewhere).unwrap();
    symlink(&elsewhere, &out).unwrap();
    cluster.add_worker();
    let ended = cluster.wait_for_end(id).await;
    assert_eq!(ended.state, State::Failed, "{ended:?}");
    assert!(
        ended.error.as_deref().is_some_and(|error| error.contains("output cannot be completed")),
        "{ended:?}"
    );
    let found: Vec<_> =
        std::fs::read_dir(&elsewhere).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(found, [format!("_submission-{id}.json").as_str()], "only the claim");
    cluster.finish().await;
}

#[tokio::test]
async fn cancelled_prediction_has_no_manifest() {
    let cluster = Cluster::start(1).await;
    let training = cluster.sample(60).await.display().to_string();
    cluster.json(&["train", &training, "--name", "mine", "-o", "json"], &[0]).await;
    let sample = cluster.sample(400).await.display().to_string();
    let out = cluster.folder().join("out");
    let text = out.display().to_string();
    let predict = ["predict", &sample, "--run", "mine", "--out", &text, "--shard-rows", "40"];
    let id = cluster.detach(&predict).await;
    eventually("a shard is written", || async { out.join("part-00000.parquet").exists() }).await;
    let cancelled = cluster.cli(&["cancel", &id.to_string()]).await;
    assert!(cancelled.status.success(), "{}", String::from_utf8_lossy(&cancelled.stderr));
    eventually("the leader is done with the submission", || async {
        cluster.cli(&["delete", &id.to_string()]).await.status.success()
    })
    .await;
    assert!(!out.join("_manifest.json").exists());
    assert!(!out.join("part-00009.parquet").exists(), "the prediction was complete before it was cancelled");
    let refused = cluster.cli(&predict).await;
    let refusal = String::from_utf8_lossy(&refused.stderr);
    assert!(refusal.contains(&format!("already has files of submission {id}")), "{refusal}");
    cluster.finish().await;
}

#[tokio::test]
async fn discarded_jobs_are_rows_with_errors() {
    let mut cluster = Cluster::start(1).await;
    let training = cluster.sample(60).await.display().to_string();
    cluster.json(&["train", &training, "--name", "mine", "-o", "json"], &[0]).await;
    cluster.workers[0].terminate().await;
    let sample = cluster.sample(50).await.display().to_string();
    let out = cluster.folder().join("out").display().to_string();
    let predict =
        ["predict", &sample, "--run", "mine", "--out", &out, "--shard-rows", "20", "--deadline", "1"];
    let ended = cluster.wait_for_end(cluster.detach(&predict).await).await;
    assert_eq!((ended.state, ended.failed), (State::CompletedWithErrors, 50), "{ended:?}");
    let found = read(&[&out]).await;
    assert_eq!(found["manifest"]["failed_rows"], 50);
    for row in found["rows"].as_array().unwrap() {
        assert!(row["error"].as_str().unwrap().starts_with("expired: "), "{row}");
    }
    // A written manifest is final.
    let requeued = cluster.json(&["dead-letters", "requeue", "--all", "-o", "json"], &[0, 3]).await;
    assert_eq!(cluster.submission(ended.id).await.state, State::CompletedWithErrors, "{requeued}");
    // It takes the jobs, which are finished, out of their queue.
    cluster.add_worker();
    cluster.wait_for_workers(1).await;
    cluster.finish().await;
}
