//! The commands besides embed, train and predict.

use serde_json::Value;
use tests::{
    cluster::{Cluster, eventually},
    python::reference,
};

#[tokio::test]
async fn test_error_can_be_recomputed_from_exports() {
    let cluster = Cluster::start(2).await;
    let dataset = cluster.sample(300).await;
    let path = dataset.display().to_string();
    let run = cluster.json(&["train", &path, "-o", "json"], &[0]).await;
    let folder = cluster.folder().join("exports");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(dataset.join("metadata.jsonl"), folder.join("metadata.jsonl")).unwrap();
    for (kind, source, file) in [
        ("embeddings", path.as_str(), "embeddings.npy"),
        ("embeddings", path.as_str(), "embeddings.jsonl"),
        ("split", "latest", "split.jsonl"),
        ("predictions", "best", "predictions.jsonl"),
        ("weights", run["run"].as_str().unwrap(), "head.safetensors"),
    ] {
        let out = folder.join(file).display().to_string();
        let done = cluster.cli(&["export", kind, source, "--out", &out]).await;
        assert!(done.status.success(), "{kind}: {}", String::from_utf8_lossy(&done.stderr));
    }
    let weights = std::fs::read(folder.join("head.safetensors")).unwrap();
    let head = &weights[weights.len() - 513 * 4..];
    let header = String::from_utf8_lossy(&weights[8..weights.len() - 513 * 4]).into_owned();
    for key in ["target", "transform", "target_mean", "target_std"] {
        assert!(header.contains(&format!("\"{key}\"")), "{header}");
    }
    let digest = common::digest::Digest::of(&in_weight_order(&header, head)).to_string();
    assert_eq!(run["weights_sha256"], digest);
    reference(&["recompute", &folder.display().to_string(), &run["test"]["mse"].to_string()]);
    cluster.finish().await;
}

/// Returns the bytes of `fc.weight` followed by those of `fc.bias`, whatever their order in the file.
fn in_weight_order(header: &str, bytes: &[u8]) -> Vec<u8> {
    let header: Value = serde_json::from_str(header.trim_end()).unwrap();
    ["fc.weight", "fc.bias"]
        .iter()
        .flat_map(|name| {
            let at = |end: usize| header[name]["data_offsets"][end].as_u64().unwrap() as usize;
            bytes[at(0)..at(1)].to_vec()
        })
        .collect()
}

#[tokio::test]
async fn similar_images_are_found_and_the_index_follows_the_store() {
    let cluster = Cluster::start(1).await;
    let dataset = cluster.sample(80).await;
    let path = dataset.display().to_string();
    cluster.json(&["embed", &path, "-o", "json"], &[0]).await;

    // Re-encoding an image changes its digest; the original must be its nearest neighbour.
    let original = dataset.join("thumbnails/s0-000007.jpg");
    let copy = cluster.folder().join("copy.png");
    let picture = images::decode::decode(&std::fs::read(&original).unwrap()).unwrap();
    image::RgbImage::from_raw(picture.width, picture.height, picture.rgb).unwrap().save(&copy).unwrap();
    let copy = copy.display().to_string();
    let found = cluster.json(&["similar", &copy, "-k", "3", "-o", "json"], &[0]).await;
    assert_eq!(found["query"], copy);
    let neighbours = found["neighbours"].as_array().unwrap();
    assert_eq!(neighbours.len(), 3);
    assert_eq!(neighbours[0]["item"], "thumbnails/s0-000007.jpg");
    assert_eq!(neighbours[0]["video_id"], "s0-000007");
    let cosines: Vec<f64> = neighbours.iter().map(|n| n["cosine"].as_f64().unwrap()).collect();
    assert!(cosines[0] > 0.99 && cosines.is_sorted_by(|a, b| a >= b), "{cosines:?}");

    let by_video = cluster.json(&["similar", "s0-000007", "-k", "80", "-o", "json"], &[0]).await;
    // The results exclude the query image itself and the upload, which belongs to no dataset.
    assert_eq!(by_video["neighbours"].as_array().unwrap().len(), 79);
    assert_eq!((&found["compared"], &by_video["compared"]), (&80.into(), &79.into()));
    let same = cluster.json(&["similar", &original.display().to_string(), "-o", "json"], &[0]).await;
    assert_eq!(same["known_as"], "thumbnails/s0-000007.jpg");

    let space = found["space"].as_str().unwrap().to_owned();
    assert_eq!(cluster.cli(&["spaces", "drop", &space]).await.status.code(), Some(1));
    let dropped = cluster.json(&["spaces", "drop", &space, "--force", "-o", "json"], &[0]).await;
    assert_eq!(dropped["embeddings"], 81);
    assert_eq!(cluster.cli(&["similar", "s0-000007", "--space", &space]).await.status.code(), Some(5));
    cluster.json(&["embed", &path, "-o", "json"], &[0]).await;
    let again = cluster.json(&["similar", "s0-000007", "-k", "1", "-o", "json"], &[0]).await;
    assert_eq!(again["neighbours"][0]["video_id"], by_video["neighbours"][0]["video_id"]);
    assert_eq!(again["compared"], 79, "the query itself is not compared");
    cluster.finish().await;
}

#[tokio::test]
async fn cancelled_submissions_and_runs_stop() {
    let cluster = Cluster::start(1).await;
    let dataset = cluster.sample(600).await.display().to_string();
    let id = cluster.detach(&["embed", &dataset]).await;
    eventually("a job is in flight", || async { !cluster.in_flight(id, 0).await.is_empty() }).await;
    let jobs = cluster.json(&["jobs", &id.to_string(), "-o", "json"], &[0]).await;
    assert_eq!(jobs.as_array().unwrap().len(), 10);
    let id = id.to_string();
    let cancelled = cluster.json(&["cancel", &id, "-o", "json"], &[0]).await;
    assert_eq!(cancelled["state"], "cancelled");
    let again = cluster.cli(&["cancel", &id]).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("has already ended: its state is cancelled"));

    let run = cluster.detach(&["train", &dataset, "--epochs", "5000"]).await;
    eventually("the run trains", || async {
        let view = cluster.json(&["status", &run.to_string(), "-o", "json"], &[0]).await;
        !view["epochs"].as_array().unwrap().is_empty()
    })
    .await;
    cluster.json(&["cancel", &run.to_string(), "-o", "json"], &[0]).await;
    assert_eq!(cluster.wait_for_end(run).await.state, common::store::State::Cancelled);
    cluster.finish().await;
}

#[tokio::test]
async fn submissions_are_named_by_prefix_and_latest_and_can_be_waited_for() {
    let cluster = Cluster::start(1).await;
    let dataset = cluster.sample(60).await.display().to_string();
    let id = cluster.detach(&["embed", &dataset]).await.to_string();
    let waited = cluster.json(&["wait", "latest", "-o", "json"], &[0]).await;
    assert_eq!((&waited["submission"], &waited["succeeded"]), (&id.as_str().into(), &60.into()));
    assert!(waited["subject"].as_str().unwrap().starts_with("file:///"), "{waited}");

    let run = cluster.detach(&["train", &dataset, "--epochs", "2"]).await.to_string();
    let waited = cluster.json(&["wait", &run, "-o", "json"], &[0]).await;
    assert_eq!((&waited["run"], &waited["state"]), (&run.as_str().into(), &"succeeded".into()));
    // The run also created an embed submission, which no user submitted.
    let latest = cluster.json(&["status", "latest", "-o", "json"], &[0]).await;
    assert_eq!(latest["run"], run.as_str());

    // The IDs differ in the random part at the end, if not before.
    let differs = id.bytes().zip(run.bytes()).position(|(a, b)| a != b).unwrap();
    let shown = cluster.json(&["status", &id[..=differs], "-o", "json"], &[0]).await;
    assert_eq!(shown["submission"], id.as_str());
    // Its embed submission has nearly the same time.
    let predicted = cluster.detach(&["predict", &dataset, "--run", &run[..30]]).await.to_string();
    let lines = cluster.cli(&["wait", &predicted, "-o", "jsonl"]).await;
    assert_eq!(String::from_utf8_lossy(&lines.stdout).lines().count(), 60);
    let ambiguous = cluster.cli(&["status", &id[..4]]).await;
    assert_eq!(ambiguous.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ambiguous.stderr).contains("give more characters"));
    cluster.finish().await;
}

#[tokio::test]
async fn a_failed_run_is_shown_and_its_outcome_is_the_exit_code_of_wait() {
    let cluster = Cluster::start(1).await;
    let dataset = cluster.sample(40).await.display().to_string();
    let run = cluster.detach(&["train", &dataset, "--learning-rate", "1e38"]).await.to_string();
    for format in ["table", "json"] {
        let waited = cluster.cli(&["wait", &run, "-o", format]).await;
        assert_eq!(waited.status.code(), Some(1), "{format}: {waited:?}");
        let shown = cluster.cli(&["status", &run, "-o", format]).await;
        assert!(shown.status.success(), "{format}: {shown:?}");
        assert!(String::from_utf8_lossy(&shown.stdout).contains("training diverged"), "{format}");
    }
    cluster.finish().await;
}

#[tokio::test]
async fn list_and_show_commands_report_the_system_state() {
    let cluster = Cluster::start(1).await;
    let dataset = cluster.sample(40).await.display().to_string();
    let run = cluster.json(&["train", &dataset, "--epochs", "1", "-o", "json"], &[0]).await;

    let runs = cluster.json(&["runs", "-o", "json"], &[0]).await;
    assert_eq!((runs.as_array().unwrap().len(), &runs[0]["run"]), (1, &run["run"]));
    let workers = cluster.json(&["workers", "-o", "json"], &[0]).await;
    assert_eq!((workers.as_array().unwrap().len(), &workers[0]["state"]), (1, &"live".into()));
    let spaces = cluster.json(&["spaces", "list", "-o", "json"], &[0]).await;
    assert_eq!((&spaces[0]["embeddings"], &spaces[0]["workers"]), (&40.into(), &1.into()));
    assert_eq!(cluster.json(&["jobs", "-o", "json"], &[0]).await, serde_json::json!([]));
    let doctor = cluster.json(&["doctor", "-o", "json"], &[0]).await;
    assert!(doctor.as_array().unwrap().iter().all(|check| check["status"] != "error"), "{doctor:#}");
    let settings = cluster.json(&["config", "show", "-o", "json"], &[0]).await;
    let setting = |key: &str| settings.as_array().unwrap().iter().find(|s| s["key"] == key).unwrap().clone();
    assert_eq!(setting("model_weights")["origin"], "SUBWATCH_MODEL_WEIGHTS");
    assert!(!setting("amqp_url")["value"].as_str().unwrap().contains(":guest@"));
    let checked = cluster.json(&["dataset", "check", &dataset, "-o", "json"], &[0]).await;
    assert_eq!(
        (&checked["rows"], &checked["images"], &checked["labels"]["items"]),
        (&40.into(), &40.into(), &40.into())
    );
    for table in [
        vec!["status"],
        vec!["runs"],
        vec!["workers"],
        vec!["spaces", "list"],
        vec!["doctor"],
        vec!["config", "show"],
    ] {
        let shown = cluster.cli(&table).await;
        assert!(shown.status.success() && !shown.stdout.is_empty(), "{table:?}");
    }
    cluster.finish().await;
}

#[tokio::test]
async fn diverged_run_is_listed_beside_others() {
    let cluster = Cluster::start(1).await;
    let dataset = cluster.sample(100).await.display().to_string();
    let train = ["train", dataset.as_str(), "--epochs", "1", "-o", "json"];
    let good = cluster.json(&train, &[0]).await;
    let mut wild = train.to_vec();
    wild.extend(["--learning-rate", "1000"]);
    let wild = cluster.json(&wild, &[0]).await;
    assert_eq!(wild["test"]["raw"]["mse"], Value::Null, "{wild}");
    let runs = cluster.json(&["runs", "-o", "json"], &[0]).await;
    assert_eq!(runs.as_array().map(Vec::len), Some(2), "{runs}");
    let shown = cluster.cli(&["status", wild["run"].as_str().unwrap()]).await;
    assert!(String::from_utf8_lossy(&shown.stdout).contains("MSE, raw units"), "{shown:?}");
    let best = cluster.json(&["status", "best", "-o", "json"], &[0]).await;
    assert_eq!(best["run"], good["run"]);
    cluster.finish().await;
}

#[tokio::test]
async fn worker_serves_health_probes() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut cluster = Cluster::start(0).await;
    cluster.add_worker_with(&[("SUBWATCH_HEALTH_ADDRESS", format!("127.0.0.1:{port}"))]);
    let get = |path: &str| {
        let url = format!("http://127.0.0.1:{port}{path}");
        async move { reqwest::get(url).await.ok().map(|answer| answer.status().as_u16()) }
    };
    eventually("the worker is live", || async { get("/healthz").await == Some(200) }).await;
    eventually("the worker is ready", || async { get("/readyz").await == Some(200) }).await;
    assert_eq!(get("/v1/status").await, Some(404));
    cluster.wait_for_workers(1).await;
    cluster.finish().await;
}

#[tokio::test]
async fn damaged_dataset_is_checked_and_plotted() {
    let cluster = Cluster::start(0).await;
    let dataset = cluster.sample(60).await;
    let thumbnails = dataset.join("thumbnails");
    std::fs::copy(thumbnails.join("s0-000001.jpg"), thumbnails.join("copy.jpg")).unwrap();
    let bytes = std::fs::read(thumbnails.join("s0-000002.jpg")).unwrap();
    let picture = images::decode::decode(&bytes).unwrap();
    let again = image::RgbImage::from_raw(picture.width, picture.height, picture.rgb).unwrap();
    let half = image::imageops::FilterType::Triangle;
    let again = image::imageops::resize(&again, picture.width / 2, picture.height / 2, half);
    again.save(thumbnails.join("again.png")).unwrap();
    std::fs::write(thumbnails.join("s0-000003.jpg"), &bytes[..bytes.len() / 2]).unwrap();
    let metadata = dataset.join("metadata.jsonl");
    let rows = std::fs::read_to_string(&metadata).unwrap();
    let more = [
        r#"{"file_name":"thumbnails/copy.jpg","views":20001,"subscribers":2,"channel_id":"UC1","category":"a"}"#,
        r#"{"file_name":"thumbnails/gone.jpg","views":1,"subscribers":1}"#,
    ];
    std::fs::write(&metadata, rows + &more.join("\n")).unwrap();

    let (path, plots) = (dataset.display().to_string(), cluster.folder().join("plots"));
    let folder = plots.display().to_string();
    let check = ["dataset", "check", &path, "--plots", &folder, "--thumbnails", "12"];
    let found = cluster.json(&[&check[..], &["-o", "json"]].concat(), &[3]).await;
    assert_eq!((&found["rows"], &found["items"], &found["images"]), (&62.into(), &62.into(), &61.into()));
    assert_eq!(found["files_without_row"], serde_json::json!(["thumbnails/again.png"]));
    let copies = serde_json::json!([["thumbnails/s0-000001.jpg", "thumbnails/copy.jpg"]]);
    assert_eq!(found["duplicate_image_groups"], copies);
    let problems: Vec<&str> =
        found["problems"].as_array().unwrap().iter().map(|at| at["item"].as_str().unwrap()).collect();
    assert_eq!(problems, ["thumbnails/gone.jpg", "thumbnails/s0-000003.jpg"]);
    let beyond = serde_json::json!({"item": "thumbnails/copy.jpg", "value": "views 20001, subscribers 2"});
    let warnings = found["warnings"].as_array().unwrap();
    let warning = |reason: &str| warnings.iter().find(|at| at["reason"] == reason);
    assert_eq!(warning("views-beyond-subscribers").unwrap()["examples"], serde_json::json!([beyond]));
    assert_eq!(warning("crawled-at-missing").unwrap()["count"], 1);
    assert_eq!(found["plots"].as_array().map(Vec::len), Some(2));
    for (name, width) in [("labels.png", 1200), ("thumbnails.png", 1344)] {
        let drawn = images::decode::decode(&std::fs::read(plots.join(name)).unwrap()).unwrap();
        assert_eq!(drawn.width, width, "{name}");
    }

    // With a row, the resized copy becomes an image of the dataset.
    let rows = std::fs::read_to_string(&metadata).unwrap();
    std::fs::write(&metadata, rows + "\n{\"file_name\":\"thumbnails/again.png\"}").unwrap();
    let found = cluster.json(&["dataset", "check", &path, "-o", "json"], &[3]).await;
    let alike = serde_json::json!(["thumbnails/s0-000002.jpg", "thumbnails/again.png"]);
    let groups = found["near_duplicate_image_groups"].as_array().unwrap();
    assert!(groups.iter().any(|group| group["items"] == alike), "{groups:?}");
    assert_eq!(found["files_without_row"], serde_json::json!([]));
    let shown = cluster.cli(&check).await;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for line in [
        "problems    2",
        "identical   1 exact duplicate of",
        "similar     1 near duplicate of",
        "over 10000 views per subscriber",
        "먹방",
        "labels.png",
    ] {
        assert!(shown.contains(line), "{line} not found in {shown}");
    }
    let rows_only = cluster.json(&["dataset", "check", &path, "--rows-only", "-o", "json"], &[3]).await;
    assert_eq!((&rows_only["images"], &rows_only["plots"]), (&0.into(), &serde_json::json!([])));
    cluster.finish().await;
}
