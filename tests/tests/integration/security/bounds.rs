//! Limits on requests and fetched responses, and escaping of control characters in terminal output.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
};

use reqwest::header;
use serde_json::{Value, json};
use tests::{
    cluster::Cluster,
    http,
    web_server::{Response, WebServer},
};

use super::{send, text};

#[tokio::test]
async fn client_requests_are_bounded() {
    let cluster = Cluster::start_with(0, &[("SUBWATCH_MAX_IMAGE_BYTES", "100000".to_owned())]).await;
    let (http, url) = (http(), cluster.url());
    let post = |path: &str| http.post(format!("{url}{path}"));
    let large = json!({"kind": "embed", "dataset": "a".repeat(4 << 20)});
    assert_eq!(send(post("/v1/submissions").json(&large)).await.0, 413);
    assert_eq!(send(post("/v1/images").body(vec![0; 100_001])).await.0, 413);
    assert_eq!(send(post("/v1/images").body(vec![0; 100_000])).await.0, 201);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = post("/v1/runs").header(header::CONTENT_TYPE, "application/json").body(deep);
    assert!([400, 422].contains(&send(deep).await.0));
    let images: Vec<Value> =
        (0..10_001).map(|n| json!({"item": n.to_string(), "sha256": "0".repeat(64)})).collect();
    assert_eq!(send(post("/v1/submissions").json(&json!({"kind": "embed", "images": images}))).await.0, 422);
    // Errors quote the invalid value, but truncated.
    let dataset = json!({"kind": "embed", "dataset": format!("ftp://{}", "a".repeat(1 << 20))});
    let (status, body) = send(post("/v1/submissions").json(&dataset)).await;
    assert!(status == 422 && body["detail"].as_str().unwrap().len() < 3000, "{status}");
    let get = |path: &str| http.get(format!("{url}{path}"));
    assert_eq!(send(get(&format!("/v1/runs/{}", "a".repeat(9000)))).await.0, 414);
    assert_eq!(send(get(&format!("/v1/runs?cursor={}", "a".repeat(9000)))).await.0, 414);
    assert_eq!(send(get(&format!("/v1/runs/{}", "a".repeat(7000)))).await.0, 404);
    assert_eq!(send(get("/v1/runs").header("x-large", "a".repeat(17_000))).await.0, 431);
    assert_eq!(send(get("/v1/similar?video_id=x&k=100000")).await.0, 422);
    // Over the HTTP server's own limits: one header, the number of headers, the path.
    for head in [
        format!("GET /v1/runs HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "a".repeat(100_000)),
        format!("GET /v1/runs HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(200)),
        format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(100_000)),
    ] {
        let answer = send_raw(url, head.as_bytes());
        let refused = answer.starts_with("HTTP/1.1 431") || answer.starts_with("HTTP/1.1 414");
        assert!(refused || answer.is_empty(), "{answer}");
    }
    assert_eq!(send(get("/v1/runs")).await.0, 200);
    cluster.finish().await;
}

/// Sends bytes and returns the response; the server may close the connection before all are sent.
fn send_raw(url: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
        answer.extend_from_slice(&buffer[..bytes]);
    }
    text(&answer)
}

#[tokio::test]
async fn fetched_responses_are_bounded() {
    let settings =
        [("SUBWATCH_FETCH_ALLOW", "localhost".to_owned()), ("SUBWATCH_MAX_IMAGE_BYTES", "100000".to_owned())];
    let cluster = Cluster::start_with(0, &settings).await;
    let gzip = gzip_of_zeros();
    let long = format!("/{}", "a".repeat(5000));
    let site = WebServer::start(vec![
        ("/gzip.jpg", Response::image(gzip.clone()).with_header("content-encoding: gzip")),
        ("/large.jpg", Response::image(vec![0; 100_001])),
        ("/long.jpg", Response::redirect(&long)),
        ("/headers.jpg", Response::image(vec![0; 9]).with_header(&format!("x: {}", "a".repeat(1 << 20)))),
        ("/file.jpg", Response::redirect("file:///etc/passwd")),
        ("/user.jpg", Response::redirect("http://me:hunter2@localhost/")),
    ])
    .await;
    let http = http();
    let fetch = async |target: &str| {
        let body = json!({"url": target});
        send(http.post(format!("{}/v1/images/fetch", cluster.url())).json(&body)).await
    };
    let at = |path: &str| format!("http://localhost:{}{path}", site.port());
    // Stored as received, without decompression.
    let (status, stored) = fetch(&at("/gzip.jpg")).await;
    assert_eq!((status, &stored["bytes"]), (201, &gzip.len().into()));
    for (target, status, want) in [
        (at("/large.jpg"), 422, "exceeds 100000 bytes"),
        (at("/long.jpg"), 403, "the limit is 4096"),
        (at("/headers.jpg"), 422, "could not be fetched"),
        (at("/file.jpg"), 403, "must start with http:// or https://"),
        (at("/user.jpg"), 403, "the URL must not contain credentials"),
        (format!("http://localhost/{}", "a".repeat(1 << 20)), 403, "the limit is 4096"),
    ] {
        let (found, body) = fetch(&target).await;
        let detail = body["detail"].as_str().unwrap();
        assert_eq!(found, status, "{detail}");
        assert!(detail.contains(want) && !detail.contains("hunter2") && detail.len() < 3000, "{detail}");
    }
    cluster.finish().await;
}

/// Returns a gzip file (RFC 1952 and 1951): a header, one stored block of a thousand zeros and an invalid
/// checksum.
fn gzip_of_zeros() -> Vec<u8> {
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    gzip.extend([1, 0xe8, 0x03, 0x17, 0xfc]);
    gzip.extend([0; 1000]);
    gzip.extend([0; 8]);
    gzip
}

#[tokio::test]
async fn terminal_escapes_in_file_names_are_neutralised() {
    let cluster = Cluster::start(1).await;
    let folder = cluster.folder().join("hostile");
    fs::create_dir(&folder).unwrap();
    let hostile = "a\x1b[2J\x1b]0;owned\x07\u{9b}31m\u{202e}\nforged.jpg";
    fs::write(folder.join(hostile), "not an image").unwrap();
    let folder = folder.display().to_string();
    let is_bad = |c: char| common::terminal_escape::is_control_or_bidi(c) && c != '\n';
    for arguments in
        [vec!["embed", &folder], vec!["embed", &folder, "-o", "json"], vec!["dataset", "check", &folder]]
    {
        let done = cluster.cli(&arguments).await;
        for printed in [text(&done.stdout), text(&done.stderr)] {
            assert!(!printed.contains(is_bad), "{arguments:?}: {printed:?}");
            assert!(!printed.lines().any(|line| line.starts_with("forged")), "{arguments:?}: {printed}");
        }
        if arguments.contains(&"json") {
            assert_eq!(done.status.code(), Some(3));
            assert!(text(&done.stdout).contains("forged.jpg"), "{}", text(&done.stdout));
        }
    }
    for log in [cluster.coordinator.log(), cluster.workers[0].log()] {
        assert!(!log.contains(is_bad) && !log.lines().any(|line| !line.starts_with('{')), "{log}");
    }
    cluster.finish().await;
}
