//! How much a request may carry before its body.
//!
//! Bodies are bounded where they are read. What is refused here was read already, by the connection, which
//! has a bound of its own (see [`common::listener`]); the point is that nothing behind this meets longer names.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header::CONNECTION},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::problem::Failure;

/// Longest path and query: an id, a name and a cursor fit many times over.
const MAX_URI_BYTES: usize = 8 << 10;
/// Most bytes of headers, names and values together.
const MAX_HEADER_BYTES: usize = 16 << 10;

pub(super) async fn refuse_oversized(request: Request, next: Next) -> Response {
    let mut response = match check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    };
    if leaves_body_unread(response.status()) {
        // The connection ends with it, and a client must know, or its next request on it is lost.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether a request with this answer may have been refused before its body was read.
fn leaves_body_unread(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::URI_TOO_LONG
            | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    )
}

fn check(uri: &Uri, headers: &HeaderMap) -> Result<(), Failure> {
    let uri_bytes = uri.path().len() + uri.query().map_or(0, str::len);
    if uri_bytes > MAX_URI_BYTES {
        let detail = format!("path and query have {uri_bytes} bytes: the limit is {MAX_URI_BYTES}");
        return Err(Failure::new(StatusCode::URI_TOO_LONG, detail));
    }
    let header_bytes: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.as_bytes().len()).sum();
    if header_bytes > MAX_HEADER_BYTES {
        let detail = format!("the headers have {header_bytes} bytes: the limit is {MAX_HEADER_BYTES}");
        return Err(Failure::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail));
    }
    Ok(())
}
