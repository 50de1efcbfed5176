//! Clients that do not read, do not finish what they send, or hold many connections.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Stdio,
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

#[tokio::test]
async fn connections_that_do_not_read_are_closed() {
    let cluster = Cluster::start(0).await;
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
    let _deaf: Vec<TcpStream> = (0..64).map(|_| connect(&url, requests.as_bytes())).collect();
    let probe = || async {
        let answer = reqwest::get(format!("{url}/readyz")).await;
        answer.is_ok_and(|answer| answer.status() == 200)
    };
    eventually("a probe is answered", probe).await;
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

#[tokio::test]
async fn coordinator_without_a_reader_of_its_log_answers_and_stops() {
    let (folder, servers) = (tempfile::tempdir().unwrap(), Servers::from_environment());
    let name = format!("test-{}", Uuid::now_v7().simple());
    let vhost = Vhost::create(&servers, &name).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let mut coordinator = Command::new(binary("subwatch"))
        .arg("serve")
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
    drop(coordinator.stderr.take());
    let answers = || async { http().get(format!("{url}/v1/runs")).send().await.is_ok() };
    eventually("the coordinator answers", answers).await;
    let pid = nix::unistd::Pid::from_raw(coordinator.id().unwrap() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(coordinator.wait().await.unwrap().success());
    vhost.delete().await;
}
