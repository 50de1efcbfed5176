//! Environment proxies never receive a token or a request to loopback.

use std::sync::{Arc, Mutex};

use tests::cluster::{Cluster, eventually};
use tokio::{io::AsyncReadExt, net::TcpListener, process::Command};

use super::{Tokens, binary, text};

const VARIABLES: [&str; 6] =
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];

/// A proxy that records what it receives and never responds.
struct Recorder {
    url: String,
    received: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let keep = received.clone();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let mut bytes = [0; 4096];
                let count = connection.read(&mut bytes).await.unwrap_or(0);
                keep.lock().unwrap().push(text(&bytes[..count]));
            }
        });
        Self { url, received }
    }

    fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn token_never_reaches_a_proxy() {
    let tokens = Tokens::generate().await;
    let cluster = Cluster::start_with(0, &[tokens.setting()]).await;
    let proxy = Recorder::start().await;
    let token = tokens.read.as_str();
    let status = async |url: &str, variable: &str, no_proxy: &str| {
        let mut command = Command::new(binary("subwatch"));
        command.args(["status", "--url", url]).current_dir(cluster.folder());
        for other in VARIABLES {
            command.env_remove(other);
        }
        command.env("SUBWATCH_TOKEN", token).env(variable, &proxy.url).env("NO_PROXY", no_proxy);
        let done = command.kill_on_drop(true).output().await.unwrap();
        (done.status.code(), text(&done.stderr))
    };
    let port = cluster.url().rsplit(':').next().unwrap().trim_end_matches('/').to_owned();
    for variable in VARIABLES {
        for no_proxy in ["", "unrelated.example"] {
            for host in ["127.0.0.1", "localhost"] {
                let (code, stderr) = status(&format!("http://{host}:{port}"), variable, no_proxy).await;
                assert_eq!(code, Some(0), "{variable} {host}: {stderr}");
            }
            // Nothing listens there, so only a proxy could respond.
            for url in ["http://127.0.0.2:1", "http://[::1]:1", "http://a.localhost:1", "https://127.0.0.1:1"]
            {
                let (code, stderr) = status(url, variable, no_proxy).await;
                assert_eq!(code, Some(1), "{variable} {url}: {stderr}");
            }
        }
        let (code, stderr) = status("http://coordinator.invalid", variable, "").await;
        assert_eq!(code, Some(1), "{variable}: {stderr}");
        assert!(stderr.contains("cannot resolve coordinator.invalid"), "{variable}: {stderr}");
        let applies_to_http = !variable.eq_ignore_ascii_case("HTTPS_PROXY");
        let warns_that_it_is_ignored = stderr.contains("used for https:// URLs only");
        assert_eq!(warns_that_it_is_ignored, applies_to_http, "{variable}: {stderr}");
    }
    assert_eq!(proxy.received(), Vec::<String>::new());

    // HTTPS to another host uses the proxy's tunnel.
    for variable in ["HTTPS_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"] {
        let (code, stderr) = status("https://coordinator.invalid", variable, "").await;
        assert_eq!(code, Some(1), "{variable}: {stderr}");
        assert!(stderr.contains(&format!("through the proxy {}", proxy.url)), "{variable}: {stderr}");
    }
    eventually("the proxy received four requests", || async { proxy.received().len() == 4 }).await;
    for request in proxy.received() {
        assert!(request.starts_with("CONNECT coordinator.invalid:443 HTTP/1.1\r\n"), "{request}");
        assert!(
            !request.contains(token) && !request.to_lowercase().contains("\r\nauthorization"),
            "{request}"
        );
    }
    cluster.finish().await;
}
