//! `/healthz` and `/readyz` for whoever runs the processes, such as a Kubernetes probe.
//!
//! Owns a listener that serves these two and nothing else, so it may be reachable from anywhere. Does not
//! own what readiness means to a program: that is a check it hands over once it has started.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Says whether the program can do its work now, or what it lacks.
pub type Check = Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// How a program is. Clones share it.
#[derive(Clone, Default)]
pub struct Health {
    check: Arc<OnceLock<Check>>,
}

impl Health {
    /// Listens on `address` and serves until `stop`.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn serve(&self, address: SocketAddr, stop: CancellationToken) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let routes = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .with_state(self.clone());
        let server =
            axum::serve(listener, routes).with_graceful_shutdown(async move { stop.cancelled().await });
        tokio::spawn(server.into_future());
        Ok(address)
    }

    /// Ends the start: from now on `check` says whether the program is ready.
    pub fn started(&self, check: Check) {
        // A second start would be a second program in this process; the first one's check stays.
        let _ = self.check.set(check);
    }

    async fn ready(&self) -> Result<(), String> {
        match self.check.get() {
            Some(check) => check().await,
            None => Err("starting".to_owned()),
        }
    }
}

async fn ready(State(health): State<Health>) -> (StatusCode, String) {
    match health.ready().await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(what) => (StatusCode::SERVICE_UNAVAILABLE, format!("{what}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readiness_is_starting_then_what_the_check_says() {
        let health = Health::default();
        assert_eq!(health.ready().await, Err("starting".to_owned()));
        health.started(Box::new(|| Box::pin(async { Err("Redis does not serve".to_owned()) })));
        assert_eq!(ready(State(health)).await.0, StatusCode::SERVICE_UNAVAILABLE);
        let health = Health::default();
        health.started(Box::new(|| Box::pin(async { Ok(()) })));
        assert_eq!(ready(State(health)).await, (StatusCode::OK, "ready\n".to_owned()));
    }
}
