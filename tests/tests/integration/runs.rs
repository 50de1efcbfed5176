//! Training runs: splits by groups, metrics, the choice of a run, names and tags, comparison, cancelled runs, ranking.

use std::{fs, path::Path};

use serde_json::{Value, json};
use tests::{
    cluster::{Cluster, eventually},
    http, python,
};

/// Rewrites each row of a dataset's metadata; `None` removes it.
fn rewrite_rows(dataset: &Path, mut change: impl FnMut(usize, Value) -> Option<Value>) {
    let metadata = dataset.join("metadata.jsonl");
    let text = fs::read_to_string(&metadata).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str(line).unwrap()).enumerate();
    let lines: Vec<String> =
        rows.filter_map(|(number, row)| change(number, row)).map(|row| row.to_string() + "\n").collect();
    fs::write(metadata, lines.concat()).unwrap();
}

/// Runs a command and returns its exit code, standard output and standard error.
async fn run(cluster: &Cluster, arguments: &[&str]) -> (i32, String, String) {
    let output = cluster.cli(arguments).await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Exports the split of `run` and compares it with one computed in Python. Returns the number of groups.
async fn check_split(cluster: &Cluster, dataset: &Path, run: &Value, by: &str) -> u64 {
    let exported = cluster.folder().join("split.jsonl").display().to_string();
    let id = run["run"].as_str().unwrap();
    assert!(cluster.cli(&["export", "split", id, "--out", &exported]).await.status.success());
    let metadata = dataset.join("metadata.jsonl").display().to_string();
    let seed = run["request"]["seed"].to_string();
    python::run("runs.py", &["split", &metadata, &exported, by, &seed]).trim().parse().unwrap()
}

#[tokio::test]
async fn samples_are_split_by_channel_and_identical_images_stay_together() {
    let cluster = Cluster::start(1).await;
    let dataset = cluster.sample(200).await;
    // Channels have 10 videos each and are known by name only; every 20th image is the one of the next channel's video.
    for number in (0..180).step_by(20) {
        let image = |number: usize| dataset.join(format!("thumbnails/s0-{number:06}.jpg"));
        fs::copy(image(number + 10), image(number)).unwrap();
    }
    rewrite_rows(&dataset, |number, mut row| {
        row.as_object_mut().unwrap().remove("channel_id");
        row["channel"] = format!("Channel {}", number / 10).into();
        Some(row)
    });
    let path = dataset.display().to_string();
    let train = async |more: &[&str]| {
        let arguments = [&["train", &path, "--epochs", "2", "-o", "json"], more].concat();
        cluster.json(&arguments, &[0]).await
    };

    let default = train(&["--seed", "7"]).await;
    let grouping = &default["grouping"];
    assert_eq!((&grouping["split_by"], &grouping["channels"]), (&json!("channel"), &json!(20)), "{default}");
    assert_eq!((&grouping["divided_channels"], &grouping["divided_images"]), (&json!(0), &json!(0)));
    // Nine pairs of channels share an image.
    assert_eq!(grouping["groups"], 11);
    assert_eq!(check_split(&cluster, &dataset, &default, "channel").await, 11);
    let explicit = train(&["--seed", "7", "--split-by", "channel"]).await;
    assert_eq!(explicit["weights_sha256"], default["weights_sha256"]);

    let by_video = train(&["--split-by", "video"]).await;
    let grouping = &by_video["grouping"];
    assert_eq!(
        (&grouping["groups"], &grouping["images"], &grouping["divided_images"]),
        (&json!(191), &json!(191), &json!(0))
    );
    assert!(grouping["divided_channels"].as_u64().unwrap() > 15, "{grouping}");
    assert!(
        by_video["notes"].to_string().contains("of 20 channels are in more than one split"),
        "{by_video}"
    );
    assert_eq!(check_split(&cluster, &dataset, &by_video, "video").await, 191);
    let shown = run(&cluster, &["status", by_video["run"].as_str().unwrap()]).await.1;
    assert!(
        shown.contains("by video (191 groups)") && shown.contains("of 20 channels, 0 of 191 images"),
        "{shown}"
    );

    // A row without a channel is a group of its own, beside those that have one.
    rewrite_rows(&dataset, |number, mut row| {
        if number % 20 == 3 {
            row["channel"] = Value::Null;
        }
        Some(row)
    });
    let mixed = train(&[]).await;
    assert_eq!(mixed["grouping"]["groups"], 21);
    assert_eq!(check_split(&cluster, &dataset, &mixed, "channel").await, 21);

    rewrite_rows(&dataset, |_, mut row| {
        row.as_object_mut().unwrap().remove("channel");
        Some(row)
    });
    let unknown = train(&[]).await;
    assert_eq!(unknown["grouping"]["split_by"], "video");
    assert!(
        unknown["notes"][0].as_str().unwrap().contains("no row has a channel_id or a channel"),
        "{unknown}"
    );
    let (code, _, stderr) = run(&cluster, &["train", &path, "--split-by", "channel"]).await;
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains("no row has a channel_id or a channel; add one, or use --split-by video"),
        "{stderr}"
    );
    cluster.finish().await;
}

#[tokio::test]
async fn metrics_and_predictions_equal_those_of_numpy() {
    let cluster = Cluster::start(1).await;
    let dataset = cluster.sample(300).await;
    // Labels close to zero, so that the head predicts less than zero for some images.
    rewrite_rows(&dataset, |number, mut row| {
        row["views"] = (if number % 3 == 0 { number * 40 } else { 0 }).into();
        row["subscribers"] = 100.into();
        Some(row)
    });
    let path = dataset.display().to_string();
    let trained = cluster
        .json(&["train", &path, "--epochs", "40", "--learning-rate", "0.02", "-o", "json"], &[0])
        .await;
    let id = trained["run"].as_str().unwrap();
    let folder = cluster.folder().join("exports");
    fs::create_dir(&folder).unwrap();
    for (kind, of, file) in [
        ("embeddings", path.as_str(), "embeddings.npy"),
        ("split", id, "split.jsonl"),
        ("predictions", id, "predictions.jsonl"),
        ("weights", id, "head.safetensors"),
    ] {
        let out = folder.join(file).display().to_string();
        let (code, _, stderr) = run(&cluster, &["export", kind, of, "--out", &out]).await;
        assert_eq!(code, 0, "{kind}: {stderr}");
    }
    let clamped =
        python::run("runs.py", &["metrics", &folder.display().to_string(), &trained["test"].to_string()]);
    assert_ne!(clamped.trim(), "0", "no prediction is below zero: the test proves nothing");
    tests::print_line(&format!("{} of 60 predictions were below zero", clamped.trim()));

    let predicted = cluster.json(&["predict", &path, "--run", id, "-o", "json"], &[0]).await;
    let values: Vec<f64> =
        predicted.as_array().unwrap().iter().map(|line| line["prediction"].as_f64().unwrap()).collect();
    assert!(values.is_sorted_by(|a, b| a >= b), "{values:?}");
    assert_eq!(values.last(), Some(&0.0));
    cluster.finish().await;
}

#[tokio::test]
async fn names_stand_for_sound_runs_of_one_target() {
    let cluster = Cluster::start(1).await;
    let dataset = cluster.sample(200).await;
    // With equal subscribers, views can be predicted as well as their ratio.
    rewrite_rows(&dataset, |_, mut row| {
        let ratio = row["views"].as_f64().unwrap() / row["subscribers"].as_f64().unwrap();
        row["views"] = ((1000.0 * ratio) as u64).into();
        row["subscribers"] = 1000.into();
        Some(row)
    });
    let path = dataset.display().to_string();
    let picture = dataset.join("thumbnails/s0-000001.jpg").display().to_string();
    let train = async |more: &[&str]| {
        let arguments = [&["train", &path, "-o", "json"], more].concat();
        cluster.json(&arguments, &[0]).await["run"].as_str().unwrap().to_owned()
    };
    let wild = train(&["--epochs", "1", "--learning-rate", "1000"]).await;
    for name in ["latest", "best"] {
        let (code, _, stderr) = run(&cluster, &["predict", &picture, "--run", name]).await;
        assert_eq!(code, 5, "{stderr}");
        assert!(
            stderr.contains("there is no sound run that predicts views-per-subscriber: 1 succeeded"),
            "{stderr}"
        );
    }
    let (code, _, stderr) = run(&cluster, &["predict", &picture, "--run", &wild]).await;
    assert!(code == 0 || code == 3, "{stderr}");
    assert!(stderr.contains("note: test MSE ÷ baseline is"), "{stderr}");

    let views = train(&["--target", "views", "--transform", "log1p"]).await;
    let (code, _, stderr) = run(&cluster, &["predict", &picture]).await;
    assert_eq!(code, 5, "{stderr}");
    assert!(stderr.contains("other runs predict views, choose one with --target"), "{stderr}");
    let ratio = train(&["--epochs", "20"]).await;
    let wilder = train(&["--epochs", "1", "--learning-rate", "2000"]).await;

    let using = async |arguments: &[&str]| {
        let (code, _, stderr) = run(&cluster, &[&["predict", &picture], arguments].concat()).await;
        assert_eq!(code, 0, "{stderr}");
        stderr
    };
    let latest = using(&[]).await;
    for part in [
        &format!(
            "using run {ratio}, the newest run whose test MSE, on at least 5 samples, is below the baseline; one newer run does not qualify"
        ),
        "views-per-subscriber, trained on",
        &path,
        "test MSE ÷ baseline 0.",
        "random weights",
    ] {
        assert!(latest.contains(part), "'{part}' not found in {latest}");
    }
    let best = using(&["--run", "best", "--target", "views"]).await;
    assert!(
        best.contains(&format!(
            "using run {views}, the only run whose test MSE, on at least 5 samples, is below the baseline: views"
        )),
        "{best}"
    );
    let named = using(&["--run", &ratio]).await;
    assert!(!named.contains("using run"), "{named}");
    let (code, _, stderr) = run(&cluster, &["predict", &picture, "--run", &ratio, "--target", "views"]).await;
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("predicts views-per-subscriber, not views"), "{stderr}");

    // The API is the same; without a target, `latest` may have any.
    let get = async |query: &str| {
        let url = format!("{}/v1/runs/{query}", cluster.url());
        http().get(url).send().await.unwrap().json::<Value>().await.unwrap()
    };
    assert_eq!(get("latest").await["run"], ratio.as_str());
    assert_eq!(get("latest?target=views").await["run"], views.as_str());
    assert!(get("best").await["chosen"].as_str().unwrap().contains("below the baseline"));
    assert_eq!(get("best?target=subscribers").await["status"], 404);
    assert_ne!(wild, wilder);
    cluster.finish().await;
}

#[tokio::test]
async fn metrics_of_one_test_sample_are_undefined() {
    let cluster = Cluster::start(1).await;
    let dataset = cluster.sample(6).await;
    let path = dataset.display().to_string();
    let trained = cluster.json(&["train", &path, "-o", "json"], &[0]).await;
    assert_eq!(trained["split"], json!({"train": 4, "valid": 1, "test": 1}));
    assert_eq!((&trained["test"]["r2"], &trained["test"]["spearman"]), (&Value::Null, &Value::Null));
    assert!(trained["notes"].to_string().contains("the test split has 1 sample"), "{trained}");
    let shown = run(&cluster, &["status", trained["run"].as_str().unwrap()]).await.1;
    assert!(shown.contains("R² – · Spearman –"), "{shown}");
    let (code, _, stderr) = run(&cluster, &["status", "best"]).await;
    assert_eq!(code, 5, "{stderr}");
    assert!(stderr.contains("there is no sound run"), "{stderr}");
    cluster.finish().await;
}

#[tokio::test]
async fn runs_are_named_tagged_listed_and_compared() {
    let cluster = Cluster::start(1).await;
    let path = cluster.sample(200).await.display().to_string();
    let train = async |more: &[&str]| {
        let arguments = [&["train", &path, "--epochs", "3", "-o", "json"], more].concat();
        cluster.json(&arguments, &[0]).await
    };
    let a = train(&["--name", "wide", "--tag", "stage=1", "--tag", "by=me"]).await;
    let b = train(&["--name", "narrow", "--tag", "stage=2", "--learning-rate", "0.01", "--seed", "5"]).await;
    let (a, b) = (a["run"].as_str().unwrap(), b["run"].as_str().unwrap());

    let tagged = async |tags: &[&str]| {
        let tags: Vec<&str> = tags.iter().flat_map(|tag| ["--tag", tag]).collect();
        let runs = cluster.json(&[&["runs", "-o", "json"], tags.as_slice()].concat(), &[0]).await;
        let ids: Vec<String> =
            runs.as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap().to_owned()).collect();
        ids
    };
    assert_eq!(tagged(&[]).await, [b, a]);
    assert_eq!(tagged(&["stage=1"]).await, [a]);
    assert_eq!(tagged(&["stage=1", "by=me"]).await, [a]);
    assert!(tagged(&["stage=2", "by=me"]).await.is_empty());
    let table = cluster.cli_with(&["runs"], &[("COLUMNS", "300")]).await.stdout;
    let table = String::from_utf8(table).unwrap();
    assert!(table.contains("narrow") && table.contains("wide"), "{table}");
    let (_, csv, _) = run(&cluster, &["runs", "-o", "csv", "--tag", "stage=2"]).await;
    assert!(csv.starts_with("run,name,state,created,dataset,target,") && csv.lines().count() == 2, "{csv}");
    assert!(csv.contains(&format!("{b},narrow,succeeded,")), "{csv}");
    let shown = run(&cluster, &["status", "narrow"]).await.1;
    let picture = format!("{path}/thumbnails/s0-000001.jpg");
    let predicted = cluster.json(&["predict", &picture, "--run", "narrow", "-o", "json"], &[0]).await;
    assert_eq!(predicted[0]["run"], b, "{predicted}");
    let page = async |query: &str| {
        let url = format!("{}/v1/{query}", cluster.url());
        let page: Value = http().get(url).send().await.unwrap().json().await.unwrap();
        (page["items"].as_array().unwrap().len(), page["next"].is_null())
    };
    assert_eq!(page("runs?limit=1").await, (1, false));
    assert_eq!(page(&format!("runs?limit=1&cursor={b}")).await, (1, true));
    let (submissions, _) = page("submissions?limit=100").await;
    assert_eq!(page(&format!("submissions?limit={submissions}")).await, (submissions, true));
    assert_eq!(page(&format!("submissions?limit={}", submissions - 1)).await, (submissions - 1, false));
    for line in
        ["name      narrow", "tags      stage=2", "learning rate 0.01, seed 5", "by channel (10 groups)"]
    {
        assert!(shown.contains(line), "{line} not found in {shown}");
    }

    let compared = cluster.json(&["runs", "compare", a, b, "-o", "json"], &[0]).await;
    let settings: Vec<&str> =
        compared["settings"].as_array().unwrap().iter().map(|of| of["setting"].as_str().unwrap()).collect();
    assert_eq!(settings, ["name", "tags", "learning rate", "seed"], "{compared}");
    assert_eq!((&compared["runs"][0]["run"], &compared["runs"][1]["run"]), (&json!(a), &json!(b)));
    let (code, table, stderr) = run(&cluster, &["runs", "compare", a, b]).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("tested on different samples"), "{stderr}");
    assert!(table.contains("learning rate") && table.contains("test MSE ÷ baseline"), "{table}");
    let (_, csv, _) = run(&cluster, &["runs", "compare", a, b, "-o", "csv"]).await;
    assert!(
        csv.starts_with("kind,name,a,b\n") && csv.contains("\nsetting,learning rate,0.001,0.01\n"),
        "{csv}"
    );

    for (arguments, message) in [
        (vec!["train", &path, "--learning-rate", "nan"], "it must be a finite number"),
        (
            vec!["train", &path, "--target", "likes"],
            "[possible values: views-per-subscriber, views, subscribers]",
        ),
        (vec!["runs", "--limit", "0"], "0 is not in 1.."),
        (vec!["runs", "--tag", "nonsense"], "'nonsense' is not KEY=VALUE"),
        (vec!["train", &path, "--tag", "=x"], "invalid tag ''"),
        (vec!["train", &path, "--tag", "a=1", "--tag", "a=2"], "a tag is given twice"),
        (vec!["train", &path, "--name", "wide \u{1b}[31m"], "must not have control characters"),
        (vec!["train", &path, "--name", ""], "the name of a run must have 1 to 100 characters"),
        (vec!["workers", "-o", "csv"], "-o csv is for"),
    ] {
        let (code, _, stderr) = run(&cluster, &arguments).await;
        assert_eq!(code, 2, "{arguments:?}: {stderr}");
        assert!(stderr.contains(message), "{arguments:?}: {stderr}");
    }
    cluster.finish().await;
}

#[tokio::test]
async fn cancelled_run_keeps_its_best_epoch_and_resumes_to_the_same_bits() {
    let cluster = Cluster::start(1).await;
    let dataset = cluster.sample(160).await;
    let (path, picture) =
        (dataset.display().to_string(), dataset.join("thumbnails/s0-000001.jpg").display().to_string());
    let train = ["train", path.as_str(), "--epochs", "60", "--batch-size", "20"];
    let undisturbed = cluster.json(&[&train[..], &["-o", "json"]].concat(), &[0]).await;

    let id = cluster.detach(&train).await.to_string();
    let show = async || cluster.json(&["status", &id, "-o", "json"], &[0]).await;
    eventually("two epochs are complete", || async { show().await["epochs"].as_array().unwrap().len() >= 2 })
        .await;
    let running = show().await;
    let progress = running["progress"].as_str().unwrap();
    assert!(progress.contains(": train MSE ") && progress.contains(", valid MSE "), "{progress}");
    assert!(progress.ends_with(" left") && running["remaining_seconds"].as_f64().is_some(), "{running}");
    let (code, _, stderr) = run(&cluster, &["predict", &picture, "--run", &id]).await;
    assert_eq!(code, 2, "{stderr}");

    cluster.json(&["cancel", &id, "-o", "json"], &[0]).await;
    eventually("the best epoch is kept", || async { show().await["weights_sha256"].is_string() }).await;
    let cancelled = show().await;
    assert_eq!((&cancelled["state"], &cancelled["test"]), (&json!("cancelled"), &Value::Null));
    assert_eq!(cancelled["remaining_seconds"], Value::Null);
    let shown = run(&cluster, &["status", &id]).await.1;
    assert!(shown.contains(&format!("`subwatch resume {id}` continues it")), "{shown}");
    let predicted = cluster.json(&["predict", &picture, "--run", &id, "-o", "json"], &[0]).await;
    assert_eq!((&predicted[0]["run"], &predicted[0]["rank"]), (&json!(id), &json!(1)), "{predicted}");
    assert!(predicted[0]["submission"].is_string(), "{predicted}");
    let head = cluster.folder().join("head.safetensors").display().to_string();
    assert!(cluster.cli(&["export", "weights", &id, "--out", &head]).await.status.success());
    // Never by name.
    let best = cluster.json(&["status", "best", "-o", "json"], &[0]).await;
    assert_eq!(best["run"], undisturbed["run"]);

    let resumed = cluster.json(&["resume", &id, "-o", "json"], &[0]).await;
    assert_eq!((&resumed["state"], &resumed["run"]), (&json!("succeeded"), &json!(id)));
    assert_eq!(resumed["weights_sha256"], undisturbed["weights_sha256"]);
    let (code, _, stderr) = run(&cluster, &["resume", &id]).await;
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("only a failed or cancelled run can be resumed"), "{stderr}");
    cluster.finish().await;
}

#[tokio::test]
async fn predictions_and_splits_are_written_as_csv() {
    let cluster = Cluster::start(1).await;
    let dataset = cluster.sample(100).await;
    let path = dataset.display().to_string();
    let trained = cluster.json(&["train", &path, "-o", "json"], &[0]).await;
    let id = trained["run"].as_str().unwrap();
    let at = |name: &str| dataset.join("thumbnails").join(name).display().to_string();
    fs::write(at("odd, \"name\".jpg"), b"not an image").unwrap();
    let files = [at("odd, \"name\".jpg"), at("s0-000001.jpg"), at("s0-000002.jpg"), at("s0-000003.jpg")];
    let files: Vec<&str> = files.iter().map(String::as_str).collect();

    let (code, csv, _) =
        run(&cluster, &[&["predict", "--run", id, "-o", "csv"], files.as_slice()].concat()).await;
    assert_eq!(code, 3);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "rank,item,prediction,target,error,run,submission");
    assert_eq!(lines.len(), 5, "{csv}");
    assert!(lines[1].starts_with("1,") && lines[3].starts_with("3,"), "{csv}");
    assert!(lines[4].starts_with(",\"") && lines[4].contains("odd, \"\"name\"\".jpg\",,,"), "{csv}");
    let json =
        cluster.json(&[&["predict", "--run", id, "-o", "json"], files.as_slice()].concat(), &[3]).await;
    let names: Vec<&str> =
        json.as_array().unwrap().iter().map(|line| line["item"].as_str().unwrap()).collect();
    assert!(names.iter().zip(&lines[1..4]).all(|(name, line)| line.contains(name)), "{names:?} {csv}");

    let (_, csv, _) = run(&cluster, &["export", "split", id, "-o", "csv"]).await;
    assert_eq!(csv.lines().next(), Some("item,split,sha256,label"));
    assert_eq!(csv.lines().count(), 101);
    let (_, csv, _) = run(&cluster, &["export", "predictions", id, "-o", "csv"]).await;
    assert_eq!((csv.lines().next(), csv.lines().count()), (Some("item,prediction,label,target"), 21));
    fs::remove_file(at("odd, \"name\".jpg")).unwrap();
    let matrix = cluster.folder().join("e.npy").display().to_string();
    let embeddings = ["export", "embeddings", &path, "-o", "csv"];
    let (code, _, stderr) = run(&cluster, &[&embeddings[..], &["--out", &matrix]].concat()).await;
    assert_eq!(code, 0, "{stderr}");
    let items = fs::read_to_string(cluster.folder().join("e.items.csv")).unwrap();
    assert_eq!((items.lines().next(), items.lines().count()), (Some("item,sha256"), 101));
    assert_eq!(run(&cluster, &embeddings).await.0, 2);
    cluster.finish().await;
}
