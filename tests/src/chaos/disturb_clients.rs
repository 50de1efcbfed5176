//! Disturbances by clients of the API: ones that never read, and ones that hardly send.

use std::time::Duration;

use futures::future::join_all;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{interval, sleep, timeout},
};

use super::disturb::Scene;

/// Fewer than a coordinator accepts from one address: the load comes from the same one.
const DEAF_CLIENTS: usize = 150;
const UPLOADS: usize = 16;

impl Scene<'_> {
    /// Keeps connections open that have sent many requests, and reads no response.
    pub(super) async fn deaf_clients(&self, coordinator: usize, duration: Duration) {
        let requests = "GET /v1/submissions?limit=100 HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(1000);
        let clients = (0..DEAF_CLIENTS).map(|_| self.send(coordinator, requests.as_bytes()));
        let clients = join_all(clients).await;
        sleep(duration).await;
        drop(clients);
    }

    /// Claims the largest uploads and sends one byte of each every second.
    pub(super) async fn slow_uploads(&self, coordinator: usize, duration: Duration) {
        let claim =
            format!("POST /v1/images HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", 32 << 20);
        let uploads = (0..UPLOADS).map(async |_| {
            let Some(mut stream) = self.send(coordinator, claim.as_bytes()).await else { return };
            let mut seconds = interval(Duration::from_secs(1));
            // The coordinator closes the connection.
            while stream.write_all(b"x").await.is_ok() {
                seconds.tick().await;
            }
        });
        let _ = timeout(duration, join_all(uploads)).await;
    }

    /// Connects to a coordinator and sends what it takes of `bytes`; `None` if it is down.
    async fn send(&self, coordinator: usize, bytes: &[u8]) -> Option<TcpStream> {
        let url = self.system.url(coordinator);
        let mut stream = TcpStream::connect(url.strip_prefix("http://")?).await.ok()?;
        // The rest does not fit, since nothing is read.
        let _ = timeout(Duration::from_millis(100), stream.write_all(bytes)).await;
        Some(stream)
    }
}
