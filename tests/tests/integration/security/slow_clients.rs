//! Clients that do not read, do not finish what they send, or hold many connections.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Stdio,
    time::Duration,
};

use tests::{
    broker_admin::Vhost,
    cluster::{Cluster, eventually},
    environment::Servers,
    http,
    process::binary,
};
use tokio::process::Command;
use uuid::Uuid;

use super::{Tokens, send};

fn connect(url: &str, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_nonblocking(true).unwrap();
    // As much as fits into the buffers; the server may have closed the connection already.
    let _ = stream.write(bytes);
    stream
}

/// Opens one connection more than `limit` and returns how many are closed at once.
async fn refused_beyond(cluster: &Cluster, limit: usize) -> usize {
    let mut open: Vec<TcpStream> = (0..=limit).map(|_| connect(cluster.url(), b"")).collect();
    let mut refused = 0;
    eventually("a connection beyond the limit is closed", || {
        refused = open.iter_mut().map(|stream| usize::from(matches!(stream.read(&mut [0]), Ok(0)))).sum();
        let some = refused > 0;
        async move { some }
    })
    .await;
    refused
}

#[tokio::test]
async fn the_limit_of_connections_per_peer_is_a_setting() {
    let cluster = Cluster::start_with(0, &[("SUBWATCH_MAX_CONNECTIONS_PER_PEER", "600".to_owned())]).await;
    let idle: Vec<TcpStream> = (0..400).map(|_| connect(cluster.url(), b"")).collect();
    assert!(http().get(format!("{}/v1/runs", cluster.url())).send().await.is_ok());
    drop(idle);
    cluster.finish().await;
}

#[tokio::test]
async fn connections_that_do_not_read_are_closed() {
    let cluster = Cluster::start(0).await;
    assert_eq!(refused_beyond(&cluster, 256).await, 1, "a peer has 256 connections");
    let requests = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(20_000);
    let _deaf: Vec<TcpStream> = (0..300).map(|_| connect(cluster.url(), requests.as_bytes())).collect();
    let get = || async { http().get(format!("{}/v1/runs", cluster.url())).send().await.is_ok() };
    eventually("others are answered beside connections that do not read", get).await;
    cluster.finish().await;
}

#[tokio::test]
async fn connections_with_half_a_request_are_closed() {
    let cluster = Cluster::start(0).await;
    let half = b"GET /healthz HTTP/1.1\r\nhost: local";
    let mut mute: Vec<TcpStream> = (0..300).map(|_| connect(cluster.url(), half)).collect();
    let get = || async { http().get(format!("{}/v1/runs", cluster.url())).send().await.is_ok() };
    eventually("others are answered", get).await;
    let are_closed = || {
        let closed = mute.iter_mut().all(|stream| match stream.read(&mut [0; 512]) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        });
        async move { closed }
    };
    eventually("the server closes connections whose requests do not arrive", are_closed).await;
    cluster.finish().await;
}

#[tokio::test]
async fn probes_are_answered_beside_connections_that_send_nothing() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut cluster = Cluster::start(0).await;
    cluster.add_worker_with(&[("SUBWATCH_HEALTH_ADDRESS", format!("127.0.0.1:{port}"))]);
    cluster.wait_for_workers(1).await;
    let url = format!("http://127.0.0.1:{port}");
    let requests = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(1000);
    let _deaf: Vec<TcpStream> = (0..300).map(|_| connect(&url, requests.as_bytes())).collect();
    let half: Vec<TcpStream> = (0..300).map(|_| connect(&url, b"GET /rea")).collect();
    // At once, not after a timeout: a probe takes the place of the oldest connection.
    assert_eq!(reqwest::get(format!("{url}/readyz")).await.unwrap().status(), 200);
    drop(half);
    cluster.finish().await;
}

#[tokio::test]
async fn uploads_that_do_not_arrive_do_not_keep_others_waiting() {
    let tokens = Tokens::generate().await;
    let cluster = Cluster::start_with(0, &[tokens.setting()]).await;
    let claim = format!(
        "POST /v1/images HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\nx",
        tokens.submit,
        32 << 20
    );
    let mut slow: Vec<TcpStream> = (0..8).map(|_| connect(cluster.url(), claim.as_bytes())).collect();
    let upload = http().post(format!("{}/v1/images", cluster.url())).bearer_auth(&tokens.admin);
    assert_eq!(send(upload.body(vec![1; 100])).await.0, 201);
    let refused = || {
        let mut answer = [0; 512];
        let refused = slow.iter_mut().any(|stream| match stream.read(&mut answer) {
            Ok(bytes) => String::from_utf8_lossy(&answer[..bytes]).starts_with("HTTP/1.1 408"),
            Err(_) => false,
        });
        async move { refused }
    };
    eventually("a slow upload is refused", refused).await;
    cluster.finish().await;
}

/// A body that arrives in pieces of `bytes`, one every quarter of a second.
fn in_pieces(pieces: usize, bytes: usize) -> reqwest::Body {
    reqwest::Body::wrap_stream(futures::stream::unfold(0, move |sent| async move {
        tokio::time::sleep(Duration::from_millis(250)).await;
        (sent < pieces).then(|| (Ok::<_, std::io::Error>(vec![sent as u8; bytes]), sent + 1))
    }))
}

#[tokio::test]
async fn a_slow_but_steady_upload_is_stored() {
    let cluster = Cluster::start(0).await;
    // 64 KiB a second, for longer than a slow one is given.
    let upload = http().post(format!("{}/v1/images", cluster.url())).body(in_pieces(32, 16 << 10));
    let (status, stored) = send(upload).await;
    assert_eq!((status, &stored["bytes"]), (201, &(32 * (16 << 10)).into()));
    cluster.finish().await;
}

#[tokio::test]
async fn programs_without_a_reader_of_their_log_work_and_stop() {
    let (folder, servers) = (tempfile::tempdir().unwrap(), Servers::from_environment());
    let name = format!("test-{}", Uuid::now_v7().simple());
    let vhost = Vhost::create(&servers, &name).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let start = |program: &str, arguments: &[&str]| {
        let mut child = Command::new(binary(program))
            .args(arguments)
            .current_dir(folder.path())
            .env("SUBWATCH_URL", &url)
            .env("SUBWATCH_AMQP_URL", vhost.amqp_url())
            .env("SUBWATCH_REDIS_URL", &servers.redis_url)
            .env("SUBWATCH_REDIS_KEY_PREFIX", format!("{name}:"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        drop(child.stderr.take());
        child
    };
    let mut coordinator = start("subwatch", &["serve"]);
    let mut worker = start("subwatch-worker", &["--kinds", "crawl"]);
    let answers = || async { http().get(format!("{url}/v1/runs")).send().await.is_ok() };
    eventually("the coordinator answers", answers).await;
    let workers = || async {
        let answer = http().get(format!("{url}/v1/workers")).send().await.unwrap().text().await.unwrap();
        answer.contains("\"instance\"")
    };
    eventually("the worker is registered", workers).await;
    for program in [&mut coordinator, &mut worker] {
        let pid = nix::unistd::Pid::from_raw(program.id().unwrap() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(120), program.wait()).await;
        assert!(ended.expect("a program does not stop").unwrap().success());
    }
    vhost.delete().await;
}
