//! The HTTP API.
//!
//! Owns routes, limits and the form of errors, and is the only module that names `axum`. Does not own what
//! an operation does (see [`crate::server::service`]).
//! Invariants: where it asks for no tokens it listens on loopback only; every error is an RFC 9457 problem
//! that shows no internals; everything that a client sends is bounded, in bytes and in time.

mod auth;
mod dead;
mod guard;
mod images;
mod limits;
mod problem;
mod runs;
mod similar;
mod submissions;
mod system;

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    middleware,
    routing::{delete, get, post},
};
use common::listener::{self, Bounds};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::TimeoutLayer;

pub use self::auth::Access;
use self::problem::not_found;
use super::service::Coordinator;

/// Largest JSON body: a predict request with ten thousand images.
const MAX_JSON_BYTES: usize = 4 << 20;
/// What the API's connections may cost.
const BOUNDS: Bounds = Bounds { connections: 1024, head: Duration::from_secs(30) };
/// How long a request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// Checks that an address may be listened on.
///
/// # Errors
/// When it is not loopback though there are no tokens: whoever reached the API could do anything with it.
pub fn check_bind(address: &SocketAddr, access: &Access) -> anyhow::Result<()> {
    anyhow::ensure!(
        address.ip().is_loopback() || matches!(access, Access::Tokens(_)),
        "{address} is not loopback, and without access tokens the API listens on 127.0.0.1 or [::1] only: make one \
         with `subwatch token new --name NAME --scope admin`, and name the file of its line in SUBWATCH_TOKENS_FILE"
    );
    Ok(())
}

/// Returns the routes. Images may have up to `max_image_bytes`.
pub fn router(coordinator: Coordinator, max_image_bytes: usize, access: Access) -> Router {
    let images =
        Router::new().route("/v1/images", post(images::create)).layer(DefaultBodyLimit::max(max_image_bytes));
    let submissions = Router::new()
        .route("/v1/submissions", post(submissions::create).get(submissions::list))
        .route("/v1/submissions/{id}", get(submissions::get))
        .route("/v1/submissions/{id}/results", get(submissions::results))
        .route("/v1/submissions/{id}/embeddings", get(submissions::embeddings))
        .route("/v1/submissions/{id}/jobs", get(submissions::jobs))
        .route("/v1/submissions/{id}/cancel", post(submissions::cancel));
    let runs = Router::new()
        .route("/v1/runs", post(runs::create).get(runs::list))
        .route("/v1/runs/{id}", get(runs::get))
        .route("/v1/runs/{id}/resume", post(runs::resume))
        .route("/v1/runs/{id}/split", get(runs::split))
        .route("/v1/runs/{id}/predictions", get(runs::predictions))
        .route("/v1/runs/{id}/head", get(runs::head));
    let dead = Router::new()
        .route("/v1/dead", get(dead::list))
        .route("/v1/dead/requeue", post(dead::requeue))
        .route("/v1/dead/purge", post(dead::purge))
        .route("/v1/dead/letters/{id}", get(dead::get));
    let system = Router::new()
        .route("/v1/workers", get(system::workers))
        .route("/v1/status", get(system::status))
        .route("/v1/sources/{host}/resume", post(system::resume_source))
        .route("/v1/spaces", get(system::spaces))
        .route("/v1/spaces/{name}", delete(system::drop_space))
        .route("/v1/doctor", get(system::doctor))
        .route("/healthz", get(system::healthy))
        .route("/readyz", get(system::ready));
    Router::new()
        .merge(submissions)
        .merge(runs)
        .merge(dead)
        .merge(system)
        .route("/v1/images/fetch", post(images::fetch))
        .route("/v1/similar", get(similar::similar))
        .layer(DefaultBodyLimit::max(MAX_JSON_BYTES))
        .merge(images)
        .fallback(not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, REQUEST_LIMIT))
        .layer(middleware::from_fn_with_state(access, auth::authorize))
        .layer(middleware::from_fn(limits::refuse_oversized))
        .with_state(coordinator)
}

/// Serves until `stop`, then lets open requests end.
pub async fn serve(
    listener: TcpListener,
    coordinator: Coordinator,
    max_image_bytes: usize,
    access: Access,
    stop: CancellationToken,
) {
    let service = TowerToHyperService::new(router(coordinator, max_image_bytes, access));
    listener::serve(listener, service, BOUNDS, stop).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_listened_on_without_tokens() {
        let access = Access::ThisMachine;
        assert!(check_bind(&"127.0.0.1:8470".parse().unwrap(), &access).is_ok());
        assert!(check_bind(&"[::1]:8470".parse().unwrap(), &access).is_ok());
        let refused = check_bind(&"0.0.0.0:8470".parse().unwrap(), &access).unwrap_err().to_string();
        assert!(refused.contains("0.0.0.0:8470 is not loopback"), "{refused}");
    }
}
