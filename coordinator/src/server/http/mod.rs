//! The HTTP API.
//!
//! Owns limits, access control and the form of errors, and is the only module of the coordinator that names `axum`.
//! Does not own the table of routes, which the client shares ([`crate::api::routes`]), nor what an operation does: a
//! handler reads the request, calls the operation and answers with what that returns. Invariants: where it asks for no
//! tokens it listens on loopback only; every error is an RFC 9457 problem that shows no internals; everything that a
//! client sends is bounded, in bytes and in time.
//!
//! A request passes `limits` (its path and headers), then `auth` (its token; without tokens, `browser_guard`).
//! `extract` reads what it carries, `trace_context` its `traceparent`. Handlers are in the file of their path:
//! `submissions`, `runs`, `uploads` (`/v1/images`), `similarity`, `dead_letters`, and `system` for the rest. `problem`
//! makes answers of errors.

mod auth;
mod browser_guard;
mod dead_letters;
mod extract;
mod limits;
mod problem;
mod runs;
mod similarity;
mod submissions;
mod system;
mod trace_context;
mod uploads;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef},
    handler::Handler,
    http::StatusCode,
    middleware,
    routing::{delete, get, post},
};
use common::listener::{self, Bounds};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::TimeoutLayer;

pub(crate) use self::auth::Access;
use self::problem::not_found;
use crate::{
    api::routes::{self, Method, Route},
    server::{context::Context, similarity::SimilarityIndex, uploads::Uploads},
};

/// Largest JSON body: a predict request with as many images as [`crate::api::SubmissionRequest::MAX_IMAGES`] allows.
const MAX_JSON_BYTES: usize = 4 << 20;
/// What the API's connections may cost.
const BOUNDS: Bounds = Bounds { connections: 1024, head: Duration::from_secs(30) };
/// How long a request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// What the handlers work with; each extracts the part that it needs. Clones share it.
#[derive(Clone)]
pub(crate) struct ApiState {
    pub(crate) context: Arc<Context>,
    pub(crate) similarity: Arc<SimilarityIndex>,
    pub(crate) uploads: Arc<Uploads>,
}

impl FromRef<ApiState> for Arc<Context> {
    fn from_ref(state: &ApiState) -> Self {
        state.context.clone()
    }
}

impl FromRef<ApiState> for Arc<SimilarityIndex> {
    fn from_ref(state: &ApiState) -> Self {
        state.similarity.clone()
    }
}

impl FromRef<ApiState> for Arc<Uploads> {
    fn from_ref(state: &ApiState) -> Self {
        state.uploads.clone()
    }
}

/// Checks that an address may be listened on.
///
/// # Errors
/// When it is not loopback though there are no tokens: every client that reached the API could do anything with it.
pub(crate) fn check_bind(address: &SocketAddr, access: &Access) -> anyhow::Result<()> {
    anyhow::ensure!(
        address.ip().is_loopback() || matches!(access, Access::Tokens(_)),
        "{address} is not loopback, and without access tokens the API listens on 127.0.0.1 or [::1] only: make one \
         with `subwatch token new --name NAME --scope admin`, and name the file of its line in SUBWATCH_TOKENS_FILE"
    );
    Ok(())
}

fn router(state: ApiState, max_image_bytes: usize, access: Access) -> Router {
    routes(max_image_bytes)
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, REQUEST_LIMIT))
        .layer(middleware::from_fn_with_state(access, auth::authorize))
        .layer(middleware::from_fn(limits::refuse_oversized))
        .with_state(state)
}

/// Every route of the table with its handler.
fn routes(max_image_bytes: usize) -> Router<ApiState> {
    let images = on(routes::UPLOAD_IMAGE, uploads::create).layer(DefaultBodyLimit::max(max_image_bytes));
    Router::new()
        .merge(on(routes::LIST_SUBMISSIONS, submissions::list))
        .merge(on(routes::CREATE_SUBMISSION, submissions::create))
        .merge(on(routes::SUBMISSION, submissions::get))
        .merge(on(routes::RESULTS, submissions::results))
        .merge(on(routes::EMBEDDINGS, submissions::embeddings))
        .merge(on(routes::JOBS, submissions::jobs))
        .merge(on(routes::CANCEL, submissions::cancel))
        .merge(on(routes::LIST_RUNS, runs::list))
        .merge(on(routes::CREATE_RUN, runs::create))
        .merge(on(routes::RUN, runs::get))
        .merge(on(routes::RESUME_RUN, runs::resume))
        .merge(on(routes::SPLIT, runs::split))
        .merge(on(routes::PREDICTIONS, runs::predictions))
        .merge(on(routes::HEAD, runs::head))
        .merge(on(routes::FETCH_IMAGE, uploads::fetch))
        .merge(on(routes::SIMILAR, similarity::search))
        .merge(on(routes::LIST_DEAD, dead_letters::list))
        .merge(on(routes::DEAD_LETTER, dead_letters::get))
        .merge(on(routes::REQUEUE_DEAD, dead_letters::requeue))
        .merge(on(routes::PURGE_DEAD, dead_letters::purge))
        .merge(on(routes::WORKERS, system::workers))
        .merge(on(routes::STATUS, system::status))
        .merge(on(routes::DOCTOR, system::doctor))
        .merge(on(routes::RESUME_SOURCE, system::resume_source))
        .merge(on(routes::LIST_SPACES, system::spaces))
        .merge(on(routes::DROP_SPACE, system::drop_space))
        .merge(on(routes::HEALTHY, system::healthy))
        .merge(on(routes::READY, system::ready))
        .layer(DefaultBodyLimit::max(MAX_JSON_BYTES))
        .merge(images)
        .fallback(not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
}

/// A router of one route, answered by `handler`.
fn on<H, T>(route: Route, handler: H) -> Router<ApiState>
where
    H: Handler<T, ApiState>,
    T: 'static,
{
    let answer = match route.method {
        Method::Get => get(handler),
        Method::Post => post(handler),
        Method::Delete => delete(handler),
    };
    Router::new().route(route.path, answer)
}

/// Serves until `stop`, then lets open requests end.
pub(crate) async fn serve(
    listener: TcpListener,
    state: ApiState,
    max_image_bytes: usize,
    access: Access,
    stop: CancellationToken,
) {
    let service = TowerToHyperService::new(router(state, max_image_bytes, access));
    listener::serve(listener, service, BOUNDS, stop).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_routes_do_not_overlap() {
        // Building it panics where two handlers answer the same path and method.
        drop(routes(1));
    }

    #[test]
    fn only_loopback_is_listened_on_without_tokens() {
        let access = Access::ThisMachine;
        assert!(check_bind(&"127.0.0.1:8470".parse().unwrap(), &access).is_ok());
        assert!(check_bind(&"[::1]:8470".parse().unwrap(), &access).is_ok());
        let refused = check_bind(&"0.0.0.0:8470".parse().unwrap(), &access).unwrap_err().to_string();
        assert!(refused.contains("0.0.0.0:8470 is not loopback"), "{refused}");
    }
}
