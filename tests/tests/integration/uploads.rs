//! Images from local files, standard input and URLs.

use tests::{
    cluster::{Cluster, eventually},
    web_server::{Response, WebServer},
};

#[tokio::test]
async fn images_are_predicted_from_files_stdin_uploads_and_urls() {
    // The web server is on loopback, which SUBWATCH_FETCH_ALLOW permits only as `localhost`.
    let cluster = Cluster::start_with(1, &[("SUBWATCH_FETCH_ALLOW", "localhost".to_owned())]).await;
    let dataset = cluster.sample(60).await;
    cluster.json(&["train", &dataset.display().to_string(), "--epochs", "1", "-o", "json"], &[0]).await;
    let thumbnail = dataset.join("thumbnails/s0-000001.jpg");
    let bytes = std::fs::read(&thumbnail).unwrap();
    let (file, pattern) =
        (thumbnail.display().to_string(), dataset.join("thumbnails/s0-00000[1-3].jpg").display().to_string());

    let from_file = cluster.json(&["predict", &file, "-o", "jsonl"], &[0]).await;
    let from_stdin = cluster.cli_reading(&["predict", "-", "-o", "jsonl"], &bytes).await;
    let from_stdin: serde_json::Value = serde_json::from_slice(&from_stdin.stdout).unwrap();
    assert_eq!((&from_stdin["item"], &from_stdin["prediction"]), (&"-".into(), &from_file["prediction"]));
    let matched = cluster.json(&["predict", &pattern, "--run", "best", "-o", "json"], &[0]).await;
    assert_eq!(matched.as_array().unwrap().len(), 3);

    // Images of a folder outside the dataset roots are uploaded.
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("a.jpg"), &bytes).unwrap();
    let sent = cluster.json(&["predict", &outside.path().display().to_string(), "-o", "json"], &[0]).await;
    assert_eq!(sent[0]["prediction"], from_file["prediction"]);

    let site = WebServer::start(vec![
        ("/a.jpg", Response::image(bytes.clone())),
        ("/moved.jpg", Response::redirect("/a.jpg")),
        ("/loop.jpg", Response::redirect("/loop.jpg")),
        ("/inside.jpg", Response::redirect("http://127.0.0.1:1/a.jpg")),
        ("/none.jpg", Response::status(404)),
        ("/text.jpg", Response::image(b"<html>".to_vec())),
        ("/endless.jpg", Response::endless()),
    ])
    .await;
    let url = |host: &str, path: &str| format!("http://{host}:{}{path}", site.port());
    let check = async |url: String, want: Result<(), &str>| {
        let codes = if want.is_ok() { [0] } else { [3] };
        let found = cluster.json(&["predict", &url, "-o", "jsonl"], &codes).await;
        match want {
            Ok(()) => assert_eq!(found["prediction"], from_file["prediction"], "{url}"),
            Err(reason) => assert!(found["error"].as_str().unwrap().contains(reason), "{url}: {found}"),
        }
    };
    check(url("localhost", "/a.jpg"), Ok(())).await;
    check(url("localhost", "/moved.jpg"), Ok(())).await;
    check(url("localhost", "/loop.jpg"), Err("redirects more than 5 times")).await;
    check(url("localhost", "/inside.jpg"), Err("127.0.0.1 does not have a public address")).await;
    check(url("localhost", "/none.jpg"), Err("returned 404")).await;
    check(url("localhost", "/text.jpg"), Err("undecodable")).await;
    check(url("localhost", "/endless.jpg"), Err("exceeds 33554432 bytes")).await;
    check(url("127.0.0.1", "/a.jpg"), Err("127.0.0.1 does not have a public address")).await;
    check("http://169.254.169.254/latest".to_owned(), Err("does not have a public address")).await;
    check("http://user:secret@localhost/a.jpg".to_owned(), Err("credentials")).await;
    cluster.finish().await;
}

#[tokio::test]
async fn uploads_are_bounded_and_expire() {
    let limits = [
        ("SUBWATCH_MAX_IMAGE_BYTES", "3000".to_owned()),
        ("SUBWATCH_MAX_UPLOAD_BYTES", "6000".to_owned()),
        ("SUBWATCH_UPLOAD_TTL_SECONDS", "3".to_owned()),
    ];
    let cluster = Cluster::start_with(0, &limits).await;
    let client = tests::http();
    let upload = async |byte: u8| {
        let request = client.post(format!("{}/v1/images", cluster.url())).body(vec![byte; 2000]);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let retry = answer.headers().contains_key("retry-after");
        (status, retry, answer.text().await.unwrap())
    };
    for byte in [1, 2, 1, 2] {
        assert_eq!(upload(byte).await.0, 201, "identical bytes are stored once");
    }
    let (status, retry, problem) = upload(3).await;
    assert_eq!((status, retry), (429, true), "{problem}");
    assert!(problem.contains("SUBWATCH_MAX_UPLOAD_BYTES"), "{problem}");
    eventually("expired uploads free space", async || upload(3).await.0 == 201).await;
    cluster.finish().await;
}
