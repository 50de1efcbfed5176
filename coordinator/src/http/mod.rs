//! The HTTP API.
//!
//! Owns routes, limits and the form of errors, and is the only module that names `axum`. Does not own what
//! an operation does (see [`crate::service`]).
//! Invariants: it listens on loopback only, since there are no tokens yet; every error is an RFC 9457
//! problem that shows no internals; every body is bounded.

mod dead;
mod guard;
mod images;
mod problem;
mod runs;
mod similar;
mod submissions;
mod system;

use std::{io, net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    middleware,
    routing::{delete, get, post},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::TimeoutLayer;

use self::problem::not_found;
use crate::service::Coordinator;

/// Largest JSON body: a predict request with ten thousand images.
const MAX_JSON_BYTES: usize = 4 << 20;
/// How long a request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);
/// How long open requests may go on after the coordinator was told to stop.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// Checks that an address may be listened on.
///
/// # Errors
/// When it is not loopback: whoever reaches the API may do anything with it.
pub fn check_bind(address: &SocketAddr) -> anyhow::Result<()> {
    anyhow::ensure!(
        address.ip().is_loopback(),
        "{address} is not loopback: the API has no access control yet, so it listens on 127.0.0.1 or [::1] only"
    );
    Ok(())
}

/// Returns the routes. Images may have up to `max_image_bytes`.
pub fn router(coordinator: Coordinator, max_image_bytes: usize) -> Router {
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
        .layer(middleware::from_fn(guard::refuse_strangers))
        .with_state(coordinator)
}

/// Serves until `stop`, then lets open requests end.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    coordinator: Coordinator,
    max_image_bytes: usize,
    stop: CancellationToken,
) -> io::Result<()> {
    let stopping = stop.clone();
    let server = axum::serve(listener, router(coordinator, max_image_bytes))
        .with_graceful_shutdown(async move { stopping.cancelled().await });
    tokio::select! {
        served = server.into_future() => served,
        () = async { stop.cancelled().await; tokio::time::sleep(DRAIN_LIMIT).await } => {
            tracing::warn!("open requests were cut off after {DRAIN_LIMIT:?}");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_listened_on() {
        assert!(check_bind(&"127.0.0.1:8470".parse().unwrap()).is_ok());
        assert!(check_bind(&"[::1]:8470".parse().unwrap()).is_ok());
        let refused = check_bind(&"0.0.0.0:8470".parse().unwrap()).unwrap_err().to_string();
        assert!(refused.contains("0.0.0.0:8470 is not loopback"), "{refused}");
    }
}
