//! The HTTP API: limits, access control, handlers and error responses. No other module of the coordinator uses `axum`.
//!
//! The table of routes is in [`crate::api::routes`]. A handler parses the request, calls an operation of the server and
//! returns its result. Invariants: without tokens, the API listens on loopback only; every error is an RFC 9457 problem
//! without internals; every request is limited in bytes and in time.
//!
//! A request passes `limits` (path and headers), then `auth` (token; without tokens, `browser_guard`). `extract` parses
//! its parameters and `body` its body, `trace_context` its `traceparent`. `responses` limits the answer. Handlers are
//! grouped by path: `submissions`, `runs`, `uploads` (`/v1/images`), `similarity`, `dead_letters`, and `system` for the
//! rest. `problem` turns errors into responses.

mod auth;
mod body;
mod browser_guard;
mod dead_letters;
mod extract;
mod limits;
mod problem;
mod responses;
mod runs;
mod similarity;
mod submissions;
mod system;
mod trace_context;
mod uploads;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::FromRef,
    handler::Handler,
    http::StatusCode,
    middleware,
    routing::{delete, get, post},
};
use common::listener::{self, Bounds, Excess};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::TimeoutLayer;

pub(crate) use self::auth::Access;
use self::{problem::not_found, responses::ResponseLimits};
use crate::{
    api::routes::{self, Method, Route},
    server::{context::Context, similarity::SimilarityIndex, uploads::Uploads},
};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

fn bounds(per_peer: usize) -> Bounds {
    Bounds {
        connections: 1024,
        per_peer,
        excess: Excess::Refused,
        head: Duration::from_secs(10),
        write: Duration::from_secs(10),
        keep_alive: true,
    }
}

/// State of the router; each handler extracts the part it needs. Clones share it.
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

/// Checks that the API may listen on an address: without tokens, on loopback only, since every client that can reach
/// it has full access.
pub(crate) fn check_bind(address: &SocketAddr, access: &Access) -> anyhow::Result<()> {
    anyhow::ensure!(
        address.ip().is_loopback() || matches!(access, Access::Tokens(_)),
        "{address} is not loopback, and without access tokens the API listens on 127.0.0.1 or [::1] only: \
         create a token with `subwatch token new --name NAME --scope admin`, save the line it prints in a \
         file, and set SUBWATCH_TOKENS_FILE to the file"
    );
    Ok(())
}

fn router(state: ApiState, access: Access) -> Router {
    routes()
        .layer(middleware::from_fn_with_state(ResponseLimits::default(), responses::bound))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, REQUEST_TIMEOUT))
        .layer(middleware::from_fn_with_state(access, auth::authorize))
        .layer(middleware::from_fn(limits::reject_oversized))
        .with_state(state)
}

fn routes() -> Router<ApiState> {
    Router::new()
        .merge(with_query(routes::LIST_SUBMISSIONS, submissions::list))
        .merge(on(routes::CREATE_SUBMISSION, submissions::create))
        .merge(on(routes::SUBMISSION, submissions::get))
        .merge(with_query(routes::RESULTS, submissions::results))
        .merge(with_query(routes::EMBEDDINGS, submissions::embeddings))
        .merge(with_query(routes::JOBS, submissions::jobs))
        .merge(on(routes::CANCEL, submissions::cancel))
        .merge(on(routes::DELETE_SUBMISSION, submissions::delete))
        .merge(with_query(routes::DELETE_ALL_OF, submissions::delete_all_of))
        .merge(with_query(routes::LIST_RUNS, runs::list))
        .merge(on(routes::CREATE_RUN, runs::create))
        .merge(with_query(routes::RUN, runs::get))
        .merge(on(routes::RESUME_RUN, runs::resume))
        .merge(with_query(routes::SPLIT, runs::split))
        .merge(with_query(routes::PREDICTIONS, runs::predictions))
        .merge(on(routes::HEAD, runs::head))
        .merge(on(routes::UPLOAD_IMAGE, uploads::create))
        .merge(on(routes::DROP_UPLOADS, uploads::drop_all))
        .merge(on(routes::FETCH_IMAGE, uploads::fetch))
        .merge(with_query(routes::SIMILAR, similarity::search))
        .merge(with_query(routes::LIST_DEAD_LETTERS, dead_letters::list))
        .merge(on(routes::DEAD_LETTER, dead_letters::get))
        .merge(on(routes::REQUEUE_DEAD_LETTERS, dead_letters::requeue))
        .merge(on(routes::PURGE_DEAD_LETTERS, dead_letters::purge))
        .merge(on(routes::WORKERS, system::workers))
        .merge(on(routes::STATUS, system::status))
        .merge(on(routes::DOCTOR, system::doctor))
        .merge(on(routes::END_HOST_BACKOFF, system::end_backoff))
        .merge(on(routes::LIST_SPACES, system::spaces))
        .merge(with_query(routes::DROP_SPACE, system::drop_space))
        .merge(with_query(routes::SPACE_EMBEDDINGS, system::space_embeddings))
        .merge(on(routes::ADD_EMBEDDINGS, system::add_embeddings))
        .merge(on(routes::HEALTHY, system::healthy))
        .merge(on(routes::READY, system::ready))
        .fallback(not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
}

/// Routes requests without a query to `handler`.
fn on<H, T>(route: Route, handler: H) -> Router<ApiState>
where
    H: Handler<T, ApiState>,
    T: 'static,
{
    with_query(route, handler).layer(middleware::from_fn(extract::reject_query))
}

/// Routes requests to `handler`, which checks their query with [`extract::Params`].
fn with_query<H, T>(route: Route, handler: H) -> Router<ApiState>
where
    H: Handler<T, ApiState>,
    T: 'static,
{
    let method_router = match route.method {
        Method::Get => get(handler),
        Method::Post => post(handler),
        Method::Delete => delete(handler),
    };
    Router::new().route(route.path, method_router)
}

/// Serves until `stop`, then waits for requests in flight.
pub(crate) async fn serve(listener: TcpListener, state: ApiState, access: Access, stop: CancellationToken) {
    let bounds = bounds(state.context.settings.api.max_connections_per_peer);
    let service = TowerToHyperService::new(router(state, access));
    listener::serve(listener, service, bounds, stop).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_do_not_overlap() {
        // Building the router panics if two handlers have the same path and method.
        drop(routes());
    }

    #[test]
    fn without_tokens_only_loopback_is_allowed() {
        let access = Access::Loopback;
        assert!(check_bind(&"127.0.0.1:8470".parse().unwrap(), &access).is_ok());
        assert!(check_bind(&"[::1]:8470".parse().unwrap(), &access).is_ok());
        let error = check_bind(&"0.0.0.0:8470".parse().unwrap(), &access).unwrap_err().to_string();
        assert!(error.contains("0.0.0.0:8470 is not loopback"), "{error}");
    }
}
