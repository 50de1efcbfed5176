//! Reads the body of a request within limits of size, memory and time.
//!
//! The memory is reserved before the body is read, so that concurrent requests stay within their limit. A body has to
//! arrive at a least rate, since it keeps its memory reserved until then.

use std::time::{Duration, Instant};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::StatusCode,
};
use bytes::BytesMut;
use futures::StreamExt;

use super::{auth::TokenName, limits::MIN_BYTES_PER_SECOND, problem::Failure};
use crate::server::shared_budget::{Reservation, SharedBudget};

/// How long a body may take before it has to have arrived at the least rate.
const GRACE: Duration = Duration::from_secs(5);

/// A body, and its reserved memory.
pub(super) struct ReadBody {
    pub(super) bytes: Bytes,
    pub(super) reservation: Reservation,
}

/// Reads the body of a request.
///
/// # Errors
/// 413 `too_large` if it has more than `limit` bytes; 408 if it arrives too slowly; 400 if the client ends it early.
pub(super) async fn read(
    request: Request,
    memory: &SharedBudget,
    limit: usize,
    too_large: &str,
) -> Result<ReadBody, Failure> {
    let too_large = || Failure::new(StatusCode::PAYLOAD_TOO_LARGE, too_large);
    // A larger body is read up to the limit, so that most clients have sent it and read the response.
    let size = request.body().size_hint();
    let token = request.extensions().get::<TokenName>().map(|TokenName(name)| name.clone());
    let expected = size.upper().unwrap_or(limit as u64).min(limit as u64);
    let reservation = memory.reserve(token.as_deref(), expected).await;
    let bytes = collect(request.into_body(), expected as usize, limit).await?.ok_or_else(too_large)?;
    Ok(ReadBody { bytes, reservation })
}

/// Returns `None` if the body has more than `limit` bytes.
async fn collect(body: Body, expected: usize, limit: usize) -> Result<Option<Bytes>, Failure> {
    let too_slow = || {
        let detail =
            format!("the body arrives too slowly: send at least {MIN_BYTES_PER_SECOND} bytes per second");
        Failure::new(StatusCode::REQUEST_TIMEOUT, detail)
    };
    let start = Instant::now();
    let mut frames = body.into_data_stream();
    let mut bytes = BytesMut::with_capacity(expected);
    loop {
        let earned = Duration::from_secs_f64(bytes.len() as f64 / MIN_BYTES_PER_SECOND as f64);
        let left = (GRACE + earned).saturating_sub(start.elapsed());
        let next = tokio::time::timeout(left, frames.next()).await.map_err(|_| too_slow())?;
        let Some(frame) = next else { return Ok(Some(bytes.freeze())) };
        let frame = frame.map_err(|error| Failure::new(StatusCode::BAD_REQUEST, error.to_string()))?;
        if bytes.len() + frame.len() > limit {
            return Ok(None);
        }
        bytes.extend_from_slice(&frame);
    }
}
