//! `/healthz` and `/readyz` for whoever runs the processes, such as a Kubernetes probe.
//!
//! Owns a listener that serves these two and nothing else, so it may be reachable from anywhere. Does not
//! own what the two mean to a program: those are checks it hands over once it has started. Liveness asks
//! whether a new process would do better, readiness whether this one can work now; a server that is away
//! makes a program unready and leaves it alive.

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

use crate::listener::{self, Bounds};

/// A probe asks in one piece, now and then; whoever holds a connection longer makes room for it.
const BOUNDS: Bounds = Bounds { connections: 32, head: Duration::from_secs(5) };

/// Says whether all is well, or what is not.
pub type Check = Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// How a program is. Clones share it.
#[derive(Clone, Default)]
pub struct Health {
    ready: Arc<OnceLock<Check>>,
    alive: Arc<OnceLock<Check>>,
}

impl Health {
    /// Listens on `address` and serves until `stop`.
    ///
    /// # Errors
    /// When the address cannot be listened on.
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

    /// Ends the start: from now on `check` says whether the program is ready.
    pub fn started(&self, check: Check) {
        // A second start would be a second program in this process; the first one's check stays.
        let _ = self.ready.set(check);
    }

    /// From now on `check` says whether the program should go on; without one, whoever answers does.
    pub fn watched(&self, check: Check) {
        let _ = self.alive.set(check);
    }

    /// Answers a probe. hyper leaves the body out of the answer to a HEAD.
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

fn answer(well: &str, checked: Result<(), String>) -> (StatusCode, String) {
    match checked {
        Ok(()) => (StatusCode::OK, format!("{well}\n")),
        Err(what) => (StatusCode::SERVICE_UNAVAILABLE, format!("{what}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saying(answer: Result<(), &'static str>) -> Check {
        Box::new(move || Box::pin(async move { answer.map_err(str::to_owned) }))
    }

    async fn get(health: Health, path: &str) -> (StatusCode, String) {
        let response = health.answer(&Method::GET, path).await;
        (response.status(), response.into_body())
    }

    #[tokio::test]
    async fn readiness_is_starting_then_what_the_check_says() {
        let health = Health::default();
        assert_eq!(health.ready().await, Err("starting".to_owned()));
        health.started(saying(Err("Redis does not serve")));
        assert_eq!(get(health, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
        let health = Health::default();
        health.started(saying(Ok(())));
        assert_eq!(get(health, "/readyz").await, (StatusCode::OK, "ready\n".to_owned()));
    }

    #[tokio::test]
    async fn who_answers_is_alive_unless_the_check_says_otherwise() {
        let health = Health::default();
        assert_eq!(get(health.clone(), "/healthz").await, (StatusCode::OK, "ok\n".to_owned()));
        health.watched(saying(Err("the model is stuck")));
        let want = (StatusCode::SERVICE_UNAVAILABLE, "the model is stuck\n".to_owned());
        assert_eq!(get(health, "/healthz").await, want);
    }

    #[tokio::test]
    async fn nothing_but_the_two_probes_is_served() {
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
