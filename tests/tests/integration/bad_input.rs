//! User errors: each gets one clear line that names the cause, and the right exit code.

use std::{fs, path::Path};

use tests::{cluster::Cluster, environment::Servers, process::binary};
use tokio::process::Command;

/// Makes a dataset with `rows` as its metadata and an empty `thumbnails` folder.
fn dataset(cluster: &Cluster, name: &str, rows: &[&str]) -> String {
    let folder = cluster.folder().join(name);
    fs::create_dir_all(folder.join("thumbnails")).unwrap();
    fs::write(folder.join("metadata.jsonl"), rows.join("\n")).unwrap();
    folder.display().to_string()
}

/// Copies the first `count` images of the sample into a folder without metadata.
fn images(sample: &Path, into: &Path, count: usize) -> String {
    fs::create_dir_all(into).unwrap();
    for number in 0..count {
        let name = format!("s0-{number:06}.jpg");
        fs::copy(sample.join("thumbnails").join(&name), into.join(&name)).unwrap();
    }
    into.display().to_string()
}

#[tokio::test]
async fn wrong_requests_get_one_clear_line_and_their_exit_code() {
    let cluster = Cluster::start(1).await;
    let sample = cluster.sample(40).await;
    let good = sample.display().to_string();
    cluster.json(&["embed", &good, "-o", "json"], &[0]).await;

    let row = |name: &str, rest: &str| format!("{{\"file_name\":\"{name}\"{rest}}}");
    let constant: Vec<String> = fs::read_to_string(sample.join("metadata.jsonl"))
        .unwrap()
        .lines()
        .map(|line| {
            let old: serde_json::Value = serde_json::from_str(line).unwrap();
            row(old["file_name"].as_str().unwrap(), ",\"views\":7,\"subscribers\":7")
        })
        .collect();
    let constant = dataset(&cluster, "constant", &constant.iter().map(String::as_str).collect::<Vec<_>>());
    for entry in fs::read_dir(sample.join("thumbnails")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, Path::new(&constant).join("thumbnails").join(path.file_name().unwrap())).unwrap();
    }
    let twice = dataset(
        &cluster,
        "twice",
        &[&row("a.jpg", ",\"video_id\":\"V\""), &row("b.jpg", ",\"video_id\":\"V\"")],
    );
    let empty = cluster.folder().join("empty");
    fs::create_dir(&empty).unwrap();
    let empty = empty.display().to_string();
    let unlabelled = images(&sample, &cluster.folder().join("unlabelled"), 30);
    let few = dataset(
        &cluster,
        "few",
        &[
            &row("thumbnails/s0-000000.jpg", ",\"views\":1,\"subscribers\":1"),
            &row("thumbnails/s0-000001.jpg", ",\"views\":2,\"subscribers\":1"),
        ],
    );
    images(&sample, &Path::new(&few).join("thumbnails"), 2);
    let file = sample.join("metadata.jsonl").display().to_string();
    let missing = cluster.folder().join("none").display().to_string();
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    let submission = cluster.detach(&["embed", &good]).await;
    cluster.wait_for_end(submission).await;
    let submission = submission.to_string();
    let picture = sample.join("thumbnails/s0-000000.jpg").display().to_string();

    let cases: Vec<(Vec<&str>, i32, &str)> = vec![
        (vec!["embed", &missing], 5, "does not exist on the coordinator's machine"),
        (vec!["embed", "/etc"], 4, "/etc is outside the dataset roots of the coordinator"),
        (vec!["embed", &file], 2, "it is not a folder"),
        (vec!["embed", "ftp://host/set"], 2, "the scheme 'ftp' is not supported"),
        (vec!["embed", "gs://bucket/set"], 2, "the scheme 'gs' is not supported"),
        (vec!["embed", &empty], 1, "the dataset is empty"),
        (vec!["embed", &twice], 1, "duplicate video_id 'V': metadata.jsonl:1 and metadata.jsonl:2"),
        (vec!["train", &empty], 1, "the dataset is empty"),
        (vec!["train", &unlabelled], 1, "has no metadata"),
        (vec!["train", &few], 1, "split"),
        (vec!["train", &constant], 1, "the target views-per-subscriber is 1 for all 24 samples"),
        (vec!["train", &good, "--learning-rate", "1e38"], 1, "of the shard with leaves"),
        (vec!["train", &good, "--learning-rate", "0"], 2, "learning_rate is 0: it must be a positive number"),
        (vec!["train", &good, "--epochs", "0"], 2, "epochs is 0: it must be between"),
        (vec!["train", &good, "--batch-size", "0"], 2, "batch_size is 0: it must be between"),
        (vec!["train", &good, "--leaves", "0"], 2, "leaves is 0: it must be between"),
        (vec!["train", &good, "--target", "likes"], 2, "invalid value 'likes' for '--target"),
        (vec!["train", &good, "--transform", "log2"], 2, "invalid value 'log2' for '--transform"),
        (vec!["predict", &picture], 5, "no run has succeeded yet"),
        (vec!["predict", "--run", "best", &picture], 5, "no run has succeeded yet"),
        (vec!["predict", "--run", unknown, &picture], 5, "does not exist; `subwatch runs` lists all"),
        (
            vec!["predict", "--run", "nonsense", &picture],
            5,
            "'nonsense' is not the ID of a submission or run",
        ),
        (vec!["predict", "/no/such/*.jpg"], 2, "'/no/such/*.jpg' matches no file"),
        (vec!["predict", "gopher://x/a.jpg"], 2, "unsupported scheme 'gopher'"),
        (vec!["predict", "-", "-"], 2, "standard input can be read only once"),
        (vec!["similar", "/no/such.jpg"], 5, "/no/such.jpg: missing"),
        (vec!["similar", "nosuchvideo"], 5, "'nosuchvideo' is neither a file nor an embedded video"),
        (vec!["similar", &good], 2, "is a folder or dataset: name one image"),
        (vec!["similar", "s0-000000", "-k", "0"], 2, "k is 0: it must be between"),
        (
            vec!["similar", "s0-000000", "--space", "elsewhere"],
            5,
            "embedding space 'elsewhere' does not exist",
        ),
        (vec!["spaces", "drop", "../elsewhere"], 5, "does not exist"),
        (vec!["status", unknown], 5, "does not exist or has expired"),
        (vec!["status", "nonsense"], 5, "'nonsense' is not the ID of a submission or run"),
        (vec!["wait", "ffff"], 5, "'ffff' is not the ID of a submission or run"),
        (vec!["dead-letters", "list", "--reason", "bogus"], 2, "unknown reason 'bogus' (known: attempts, "),
        (vec!["jobs", unknown], 5, "does not exist or has expired"),
        (vec!["cancel", unknown], 5, "does not exist or has expired"),
        (vec!["cancel", &submission], 1, "has already ended"),
        (vec!["export", "weights", "latest", "--out", "/tmp/x"], 5, "no run has succeeded yet"),
        (vec!["export", "split", &submission], 5, "is a submission, not a run"),
        (vec!["export", "predictions", &submission], 2, "is neither a run nor a predict submission"),
        (
            vec!["export", "embeddings", &good, "--out", "e.pt"],
            2,
            "cannot write .pt files; use one of .npy, .jsonl",
        ),
        (vec!["export", "embeddings", &missing], 5, "does not exist on the coordinator's machine"),
        (vec!["dataset", "check", &missing], 5, "cannot open folder"),
        (vec!["dataset", "check", &empty], 1, "the dataset is empty"),
        (vec!["dataset", "sample", &good], 1, "s"),
        (vec!["embed", &good, "--url", "http://127.0.0.1:1"], 1, "cannot be reached"),
        (vec!["embed", &good, "--url", "nonsense"], 64, "url"),
        (vec!["frobnicate"], 2, "unrecognized subcommand"),
    ];
    tests::print_line(&format!("{} wrong requests", cases.len()));
    let mut wrong = Vec::new();
    for (arguments, code, message) in &cases {
        let output = cluster.cli(arguments).await;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = stderr.lines().find(|line| line.contains(message));
        if output.status.code() != Some(*code) || line.is_none() {
            wrong.push(format!("{arguments:?} ended with {:?}: {stderr}", output.status.code()));
        }
        tests::print_line(&format!("{} → {code}: {}", arguments.join(" "), line.unwrap_or_default()));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    cluster.finish().await;
}

#[tokio::test]
async fn bad_rows_and_images_are_reported_and_nothing_else_is_lost() {
    let cluster = Cluster::start(1).await;
    let sample = cluster.sample(60).await;
    let metadata = sample.join("metadata.jsonl");
    let mut rows = fs::read(&metadata).unwrap();
    let bad: [(&[u8], &str, &str); 12] = [
        (b"{", "metadata.jsonl:61", "the row is not valid:"),
        (b"[1]", "metadata.jsonl:62", "the row is not valid:"),
        (b"{\"views\":1}", "metadata.jsonl:63", "missing field `file_name`"),
        (b"\xff\xfe{}", "metadata.jsonl:64", "the row is not valid UTF-8"),
        (b"{\"file_name\":\"../../etc/passwd\"}", "metadata.jsonl:65", "is not a path inside the dataset"),
        (b"{\"file_name\":\"/etc/passwd\"}", "metadata.jsonl:66", "is not a path inside the dataset"),
        (
            b"{\"file_name\":\"thumbnails/none.jpg\"}",
            "thumbnails/none.jpg",
            "the file named in metadata.jsonl:67 does not exist",
        ),
        (
            b"{\"file_name\":\"thumbnails/a.jpg\",\"views\":-3}",
            "metadata.jsonl:68",
            "views must be a non-negative integer, not -3",
        ),
        (
            b"{\"file_name\":\"thumbnails/b.jpg\",\"views\":\"12\"}",
            "metadata.jsonl:69",
            "views must be a non-negative integer, not \"12\"",
        ),
        (
            b"{\"file_name\":\"thumbnails/c.jpg\",\"subscribers\":1.5}",
            "metadata.jsonl:70",
            "subscribers must be a non-negative integer, not 1.5",
        ),
        (
            b"{\"file_name\":\"thumbnails/link.jpg\",\"views\":1,\"subscribers\":1}",
            "thumbnails/link.jpg",
            "it points outside the dataset",
        ),
        (
            b"{\"file_name\":\"thumbnails/huge.png\",\"views\":1,\"subscribers\":1}",
            "thumbnails/huge.png",
            "over the limit of 50 megapixels",
        ),
    ];
    for (row, ..) in bad {
        rows.extend_from_slice(row);
        rows.push(b'\n');
    }
    for (name, rest) in [
        ("zero", ",\"views\":1,\"subscribers\":0"),
        ("absent", ",\"views\":1"),
        ("null", ",\"views\":null,\"subscribers\":3"),
    ] {
        let image = sample.join("thumbnails/s0-000000.jpg");
        fs::copy(image, sample.join(format!("thumbnails/{name}.jpg"))).unwrap();
        rows.extend_from_slice(format!("{{\"file_name\":\"thumbnails/{name}.jpg\"{rest}}}\n").as_bytes());
    }
    fs::write(&metadata, rows).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", sample.join("thumbnails/link.jpg")).unwrap();
    fs::write(sample.join("thumbnails/huge.png"), huge_png()).unwrap();

    let path = sample.display().to_string();
    let embed = cluster.json(&["embed", &path, "-o", "json"], &[3]).await;
    assert_eq!((&embed["succeeded"], &embed["failed"]), (&63.into(), &12.into()), "{embed:#}");
    let failures = embed["failures"].as_array().unwrap();
    for (row, item, reason) in bad {
        let found = failures.iter().find(|failure| {
            failure["item"].as_str().unwrap().contains(item)
                && failure["reason"].as_str().unwrap().contains(reason)
        });
        assert!(
            found.is_some(),
            "{}: {item} with '{reason}' not found in {failures:#?}",
            String::from_utf8_lossy(row)
        );
        tests::print_line(&format!("{} → {}", String::from_utf8_lossy(row), found.unwrap()["reason"]));
    }
    let run = cluster.json(&["train", &path, "--epochs", "1", "-o", "json"], &[0]).await;
    assert_eq!(run["split"], serde_json::json!({"train": 36, "valid": 12, "test": 12}));
    let skipped = run["skipped"].to_string();
    for reason in ["zero subscribers", "missing subscribers", "missing views", "invalid-row"] {
        assert!(skipped.contains(reason), "{skipped}");
    }
    cluster.finish().await;
}

/// Returns a small PNG of 60,000 × 1,000 pixels.
fn huge_png() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::DynamicImage::new_luma8(60_000, 1_000).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Runs a program that must exit within 60 seconds; returns its exit code and standard error.
async fn run_to_exit(program: &str, settings: &[(&str, &str)]) -> (i32, String) {
    let mut command = Command::new(binary(program));
    if program == "subwatch" {
        command.arg("serve");
    }
    command.env("SUBWATCH_URL", "http://127.0.0.1:0").env("SUBWATCH_LOG_FORMAT", "json");
    command.envs(settings.iter().copied()).kill_on_drop(true);
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), command.output());
    let output = output.await.unwrap_or_else(|_| panic!("{program} with {settings:?} did not exit")).unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn programs_that_cannot_start_exit_with_the_reason() {
    let servers = Servers::from_environment();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::write(at("garbage.pth"), b"garbage").unwrap();
    fs::write(at("garbage.safetensors"), b"garbage").unwrap();
    fs::write(at("config.toml"), "prefetch = \"many\"\n").unwrap();
    let wrong_password = servers.amqp_url.replacen("guest:guest", "guest:wrong", 1);
    assert_ne!(wrong_password, servers.amqp_url);
    let (amqp, redis, cache) = (servers.amqp_url.as_str(), servers.redis_url.as_str(), at("cache"));
    let garbage =
        [at("garbage.pth"), at("garbage.safetensors"), at("none.pth"), at("config.toml"), at("none")];
    let no_user = servers.redis_url.replacen("redis://", "redis://unknown:secret@", 1);
    type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, i32, &'a str);
    let cases: Vec<Case<'_>> = vec![
        (
            "subwatch",
            vec![("SUBWATCH_AMQP_URL", &wrong_password), ("SUBWATCH_REDIS_URL", redis)],
            1,
            "RabbitMQ",
        ),
        ("subwatch", vec![("SUBWATCH_REDIS_URL", &no_user)], 1, "Redis rejected the credentials"),
        ("subwatch", vec![("SUBWATCH_REDIS_URL", "nonsense")], 1, "the Redis URL is invalid"),
        ("subwatch", vec![("SUBWATCH_URL", "http://0.0.0.0:0")], 1, "is not loopback"),
        (
            "subwatch",
            vec![("SUBWATCH_DATASET_ROOTS", "/no/such/folder")],
            1,
            "SUBWATCH_DATASET_ROOTS: /no/such/folder is not a usable root",
        ),
        (
            "subwatch",
            vec![("SUBWATCH_DATASET_ROOTS", "gs://bucket")],
            1,
            "SUBWATCH_DATASET_ROOTS: gs://bucket is not a usable root",
        ),
        ("subwatch", vec![("SUBWATCH_PREFETCH", "0")], 64, "SUBWATCH_PREFETCH is '0'"),
        ("subwatch", vec![("SUBWATCH_CONFIG", &garbage[4])], 64, "SUBWATCH_CONFIG is"),
        ("subwatch", vec![("SUBWATCH_CONFIG", &garbage[3])], 64, "prefetch"),
        ("subwatch", vec![("SUBWATCH_AMQP_URL_FILE", &garbage[4])], 64, "SUBWATCH_AMQP_URL_FILE is"),
        ("subwatch-worker", vec![("SUBWATCH_MODEL_WEIGHTS", &garbage[0])], 1, "garbage.pth"),
        ("subwatch-worker", vec![("SUBWATCH_MODEL_WEIGHTS", &garbage[1])], 1, "garbage.safetensors"),
        ("subwatch-worker", vec![("SUBWATCH_MODEL_WEIGHTS", &garbage[2])], 1, "none.pth"),
        ("subwatch-worker", vec![("SUBWATCH_MODEL_WEIGHTS", "random:many")], 1, "random:many"),
        ("subwatch-worker", vec![("SUBWATCH_MODEL_DEVICE", "tpu")], 1, "tpu"),
        (
            "subwatch-worker",
            vec![("SUBWATCH_MODEL_PRECISION", "fp8")],
            64,
            "SUBWATCH_MODEL_PRECISION is 'fp8'",
        ),
        (
            "subwatch-worker",
            vec![
                ("SUBWATCH_MODEL_WEIGHTS", "random:0"),
                ("SUBWATCH_AMQP_URL", &wrong_password),
                ("SUBWATCH_REDIS_URL", redis),
            ],
            1,
            "RabbitMQ",
        ),
    ];
    for (program, mut settings, code, message) in cases {
        settings.push(("SUBWATCH_CACHE_DIR", &cache));
        if !settings.iter().any(|(key, _)| *key == "SUBWATCH_AMQP_URL") {
            // An empty variable counts as unset.
            let is_in_file = settings.iter().any(|(key, _)| *key == "SUBWATCH_AMQP_URL_FILE");
            settings.push(("SUBWATCH_AMQP_URL", if is_in_file { "" } else { amqp }));
        }
        let (exit_code, stderr) = run_to_exit(program, &settings).await;
        let line = stderr.lines().rfind(|line| line.contains(message));
        assert!(
            exit_code == code && line.is_some(),
            "{program} with {settings:?} ended with {exit_code}: {stderr}"
        );
        assert!(
            !stderr.contains(":wrong@") && !stderr.contains(":secret@"),
            "stderr contains a password: {stderr}"
        );
        tests::print_line(&format!(
            "{program} {}={} → {code}: {}",
            settings[0].0,
            settings[0].1,
            line.unwrap_or_default()
        ));
    }
}

#[tokio::test]
async fn coordinator_waits_for_servers_that_are_down_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let redis = format!("redis://127.0.0.1:{port}/0");
    let mut command = Command::new(binary("subwatch"));
    command.arg("serve").env("SUBWATCH_URL", "http://127.0.0.1:0").env("SUBWATCH_REDIS_URL", &redis);
    command.env("SUBWATCH_LOG_FORMAT", "json").env("SUBWATCH_ARTIFACTS", folder.path().join("artifacts"));
    let mut waiting = tests::process::Process::start(command, folder.path().join("log"));
    tests::cluster::eventually("the coordinator logs that it retries", || {
        let waits = waiting.log().contains("Redis is unavailable; retrying");
        async move { waits }
    })
    .await;
    assert!(!waiting.has_ended());
    assert!(waiting.terminate().await.success(), "{}", waiting.log());
}
