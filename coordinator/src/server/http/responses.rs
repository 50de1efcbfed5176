//! Limits on the memory of responses.
//!
//! Few GET requests are answered at a time, fewer still of one token, and the rest wait. A large response takes its
//! part of the memory that responses in flight may take, and keeps it until the client has read it. A token that has
//! used up its part is refused at once, so that it does not wait in the place of others. A client has to read at a
//! least rate; one that does not read at all is disconnected by [`common::listener`].

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes, HttpBody, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header::RETRY_AFTER},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::{auth::TokenName, limits::MIN_BYTES_PER_SECOND, problem::Failure};
use crate::server::shared_budget::{Reservation, SharedBudget};

/// GET requests that are answered at a time.
const PERMITS: usize = 16;
/// The part of them that the clients with one access token can use.
const TOKEN_PERMITS: usize = 6;
/// Responses up to this size need no reservation: all connections together have at most 16 MiB of them.
const SMALL_BYTES: u64 = 16 << 10;
/// Total size of larger responses that clients have not read yet.
const MEMORY_BYTES: u64 = 128 << 20;
/// The part of it that the clients with one access token can use.
const TOKEN_BYTES: u64 = 32 << 20;
/// How long a response waits for memory that other tokens use.
const WAIT: Duration = Duration::from_secs(5);
/// How much of a response is passed to the connection at a time.
const FRAME_BYTES: usize = 32 << 10;
/// How long a client may take before it has to have read at the least rate.
const GRACE: Duration = Duration::from_secs(10);

/// Limits of all responses. Clones share them.
#[derive(Clone)]
pub(super) struct ResponseLimits(Arc<Limits>);

struct Limits {
    permits: Semaphore,
    /// By the token's name; there are as many as tokens.
    token_permits: Mutex<HashMap<String, Arc<Semaphore>>>,
    memory: SharedBudget,
}

impl Limits {
    fn permits_of(&self, token: &str) -> Arc<Semaphore> {
        let mut permits = self.token_permits.lock().unwrap_or_else(PoisonError::into_inner);
        permits.entry(token.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(TOKEN_PERMITS))).clone()
    }
}

impl Default for ResponseLimits {
    fn default() -> Self {
        let memory = SharedBudget::new(MEMORY_BYTES, TOKEN_BYTES);
        Self(Arc::new(Limits { permits: Semaphore::new(PERMITS), token_permits: Mutex::default(), memory }))
    }
}

/// Middleware that keeps responses within the limits. Probes are answered at any time.
pub(super) async fn bound(
    State(ResponseLimits(limits)): State<ResponseLimits>,
    request: Request,
    next: Next,
) -> Response {
    let waits =
        matches!(*request.method(), Method::GET | Method::HEAD) && request.uri().path().starts_with("/v1/");
    let token = request.extensions().get::<TokenName>().map(|TokenName(name)| name.clone());
    let permits = if waits { Some(acquire(&limits, token.as_deref()).await) } else { None };
    let response = next.run(request).await;
    let Some(size) = response.body().size_hint().exact().filter(|size| *size > SMALL_BYTES) else {
        return response;
    };
    let reservation = tokio::time::timeout(WAIT, limits.memory.try_reserve(token.as_deref(), size)).await;
    drop(permits);
    let Ok(Some(reservation)) = reservation else {
        let detail = "too many responses are in flight to clients that read slowly: try again later";
        let retry = [(RETRY_AFTER, HeaderValue::from_static("5"))];
        return (retry, Failure::new(StatusCode::SERVICE_UNAVAILABLE, detail)).into_response();
    };
    let (parts, body) = response.into_parts();
    match to_bytes(body, usize::MAX).await {
        // The header `content-length` is already set.
        Ok(bytes) => Response::from_parts(parts, frames(bytes, reservation)),
        Err(error) => Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Waits for a permit of the token, and then for one of all.
async fn acquire<'a>(
    limits: &'a Limits,
    token: Option<&str>,
) -> (Option<OwnedSemaphorePermit>, SemaphorePermit<'a>) {
    let of_token = match token {
        Some(token) => Some(limits.permits_of(token).acquire_owned().await.expect("it is never closed")),
        None => None,
    };
    (of_token, limits.permits.acquire().await.expect("it is never closed"))
}

/// Makes a body that ends with an error, which closes the connection, if the client reads too slowly.
fn frames(bytes: Bytes, reservation: Reservation) -> Body {
    let (start, size) = (Instant::now(), bytes.len());
    Body::from_stream(stream::unfold((bytes, reservation), move |(mut bytes, reservation)| async move {
        if bytes.is_empty() {
            return None;
        }
        if is_too_slow(start.elapsed(), size - bytes.len()) {
            bytes.clear();
            return Some((Err(io::Error::from(io::ErrorKind::TimedOut)), (bytes, reservation)));
        }
        let frame = bytes.split_to(bytes.len().min(FRAME_BYTES));
        Some((Ok(frame), (bytes, reservation)))
    }))
}

fn is_too_slow(elapsed: Duration, read_bytes: usize) -> bool {
    elapsed > GRACE + Duration::from_secs_f64(read_bytes as f64 / MIN_BYTES_PER_SECOND as f64)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn frames_are_the_whole_response_and_keep_its_memory() {
        let budget = SharedBudget::new(1 << 20, 1 << 20);
        let bytes: Bytes = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let body = frames(bytes.clone(), budget.reserve(None, 1 << 20).await);
        assert!(budget.reserve(None, 1).now_or_never().is_none());
        assert_eq!(to_bytes(body, usize::MAX).await.unwrap(), bytes);
        assert!(budget.reserve(None, 1 << 20).now_or_never().is_some());
    }

    #[test]
    fn one_token_has_a_part_of_the_permits() {
        let ResponseLimits(limits) = ResponseLimits::default();
        let take = |token| acquire(&limits, token).now_or_never();
        let taken: Vec<_> = (0..PERMITS).filter_map(|_| take(Some("a"))).collect();
        assert_eq!(taken.len(), TOKEN_PERMITS);
        assert!(take(Some("b")).is_some() && take(None).is_some());
    }

    #[test]
    fn a_client_has_to_read_at_the_least_rate() {
        assert!(!is_too_slow(Duration::from_secs(10), 0));
        assert!(is_too_slow(Duration::from_secs(11), 0));
        assert!(!is_too_slow(Duration::from_secs(11), 8 << 10));
    }
}
