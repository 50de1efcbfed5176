//! Size limits of a request's URI and headers, and the least rate of bodies and responses.
//!
//! The connection has read the request head by then, within its own limit (see [`common::listener`]); these limits
//! protect the handlers from long values. Bodies are limited where they are read.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header::CONNECTION},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::problem::Failure;

/// Limit of path and query together.
const MAX_URI_BYTES: usize = 8 << 10;
/// Limit of all header names and values together.
const MAX_HEADER_BYTES: usize = 16 << 10;

/// Least average rate at which a body has to arrive and a response has to be read. The command line
/// uploads four images at a time, which therefore need 0.26 Mbit/s.
pub(super) const MIN_BYTES_PER_SECOND: u64 = 8 << 10;

pub(super) async fn reject_oversized(request: Request, next: Next) -> Response {
    let mut response = match check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    };
    if leaves_body_unread(response.status()) {
        // The unread body makes the connection unusable. Without this header, the client would send its next request
        // on it and lose that.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Returns whether a request with this response status may have been rejected before its body was read.
fn leaves_body_unread(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::URI_TOO_LONG
            | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    )
}

fn check(uri: &Uri, headers: &HeaderMap) -> Result<(), Failure> {
    let uri_bytes = uri.path().len() + uri.query().map_or(0, str::len);
    if uri_bytes > MAX_URI_BYTES {
        let detail = format!("path and query have {uri_bytes} bytes; the limit is {MAX_URI_BYTES}");
        return Err(Failure::new(StatusCode::URI_TOO_LONG, detail));
    }
    let header_bytes: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.as_bytes().len()).sum();
    if header_bytes > MAX_HEADER_BYTES {
        let detail = format!("the headers have {header_bytes} bytes; the limit is {MAX_HEADER_BYTES}");
        return Err(Failure::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail));
    }
    Ok(())
}
