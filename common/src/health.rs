//! `/healthz` and `/readyz`, for Kubernetes probes and other supervisors.
//!
//! Owns a listener that serves only these two paths, so it may be reachable from anywhere. The checks behind
//! them belong to each program. Liveness means that a restart would not help; readiness means that the
//! program can work now. While RabbitMQ or Redis is unavailable a program is alive but not ready.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::future::BoxFuture;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    service::service_fn,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::listener::{self, Bounds, Excess};

/// A probe is one small request on a connection of its own. So that others cannot keep it waiting, it takes the place
/// of the oldest connection if there are too many.
const BOUNDS: Bounds = Bounds {
    connections: 256,
    per_peer: 64,
    excess: Excess::ReplacesOldest,
    head: Duration::from_secs(5),
    write: Duration::from_secs(5),
    keep_alive: false,
};

/// Returns `Ok` or a description of the problem, which becomes the response body.
pub type Check = Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// A program's readiness and liveness checks. Clones share them.
#[derive(Clone, Default)]
pub struct Health {
    ready: Arc<OnceLock<Check>>,
    alive: Arc<OnceLock<Check>>,
}

impl Health {
    /// Binds `address`, serves in the background until `stop`, and returns the bound address.
    pub async fn serve(&self, address: SocketAddr, stop: CancellationToken) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let health = self.clone();
        let probes = service_fn(move |request: Request<Incoming>| {
            let health = health.clone();
            async move { Ok::<_, Infallible>(health.answer(request.method(), request.uri().path()).await) }
        });
        tokio::spawn(listener::serve(listener, probes, BOUNDS, stop));
        Ok(address)
    }

    /// Sets the readiness check. Until then `/readyz` answers 503 `starting`.
    pub fn set_readiness_check(&self, check: Check) {
        // A second call means a second program in one process, as in tests: the first check stays.
        let _ = self.ready.set(check);
    }

    /// Sets the liveness check. Without one, `/healthz` always answers 200.
    pub fn set_liveness_check(&self, check: Check) {
        let _ = self.alive.set(check);
    }

    // HEAD needs no case of its own: hyper drops the body.
    async fn answer(&self, method: &Method, path: &str) -> Response<String> {
        let mut response = Response::new(String::new());
        let (status, text) = match path {
            "/healthz" | "/readyz" if !matches!(*method, Method::GET | Method::HEAD) => {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET,HEAD"));
                (StatusCode::METHOD_NOT_ALLOWED, String::new())
            }
            "/healthz" => answer("ok", self.alive().await),
            "/readyz" => answer("ready", self.ready().await),
            _ => (StatusCode::NOT_FOUND, String::new()),
        };
        if !text.is_empty() {
            let plain = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, plain);
        }
        (*response.status_mut(), *response.body_mut()) = (status, text);
        response
    }

    async fn ready(&self) -> Result<(), String> {
        match self.ready.get() {
            Some(check) => check().await,
            None => Err("starting".to_owned()),
        }
    }

    async fn alive(&self) -> Result<(), String> {
        match self.alive.get() {
            Some(check) => check().await,
            None => Ok(()),
        }
    }
}

fn answer(healthy: &str, checked: Result<(), String>) -> (StatusCode, String) {
    match checked {
        Ok(()) => (StatusCode::OK, format!("{healthy}\n")),
        Err(problem) => (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_returning(result: Result<(), &'static str>) -> Check {
        Box::new(move || Box::pin(async move { result.map_err(str::to_owned) }))
    }

    async fn get(health: Health, path: &str) -> (StatusCode, String) {
        let response = health.answer(&Method::GET, path).await;
        (response.status(), response.into_body())
    }

    #[tokio::test]
    async fn readiness_is_starting_until_a_check_is_set() {
        let health = Health::default();
        assert_eq!(health.ready().await, Err("starting".to_owned()));
        health.set_readiness_check(check_returning(Err("Redis is unavailable")));
        assert_eq!(get(health, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
        let health = Health::default();
        health.set_readiness_check(check_returning(Ok(())));
        assert_eq!(get(health, "/readyz").await, (StatusCode::OK, "ready\n".to_owned()));
    }

    #[tokio::test]
    async fn a_program_is_alive_unless_its_liveness_check_fails() {
        let health = Health::default();
        assert_eq!(get(health.clone(), "/healthz").await, (StatusCode::OK, "ok\n".to_owned()));
        health.set_liveness_check(check_returning(Err("the model is stuck")));
        let want = (StatusCode::SERVICE_UNAVAILABLE, "the model is stuck\n".to_owned());
        assert_eq!(get(health, "/healthz").await, want);
    }

    #[tokio::test]
    async fn other_paths_and_methods_are_rejected() {
        let health = Health::default();
        assert_eq!(get(health.clone(), "/").await.0, StatusCode::NOT_FOUND);
        assert_eq!(get(health.clone(), "/healthz/").await.0, StatusCode::NOT_FOUND);
        let posted = health.answer(&Method::POST, "/readyz").await;
        assert_eq!(
            (posted.status(), &posted.headers()[ALLOW]),
            (StatusCode::METHOD_NOT_ALLOWED, &"GET,HEAD".parse().unwrap())
        );
    }
}
