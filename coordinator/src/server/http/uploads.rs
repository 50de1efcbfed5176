//! `/v1/images`: uploads an image, or has one fetched.

use std::sync::Arc;

use axum::{
    Json,
    body::{Bytes, HttpBody},
    extract::{FromRequest, Request, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE},
};

use super::{extract::Json as JsonRequest, problem::Failure};
use crate::{
    api::{FetchRequest, StoredImage},
    server::uploads::Uploads,
};

pub(super) async fn create(
    State(uploads): State<Arc<Uploads>>,
    request: Request,
) -> Result<(StatusCode, Json<StoredImage>), Failure> {
    require_image(request.headers())?;
    // Reserved before the body is read, so that concurrent uploads stay within the memory limit.
    let _reservation = uploads.reserve(request.body().size_hint().upper()).await;
    let body: Result<Bytes, BytesRejection> = Bytes::from_request(request, &()).await;
    let bytes = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the image exceeds the coordinator's size limit (SUBWATCH_MAX_IMAGE_BYTES)",
        ),
        status => Failure::new(status, rejection.body_text()),
    })?;
    Ok((StatusCode::CREATED, Json(uploads.put(bytes).await?)))
}

/// Rejects forms, whose envelope is not part of the image. Other types are not checked, since clients send any.
fn require_image(headers: &HeaderMap) -> Result<(), Failure> {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if content_type.to_ascii_lowercase().starts_with(b"multipart/") {
        return Err(Failure::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be the image itself, not a form: with curl, use --data-binary @FILE",
        ));
    }
    Ok(())
}

pub(super) async fn fetch(
    State(uploads): State<Arc<Uploads>>,
    JsonRequest(request): JsonRequest<FetchRequest>,
) -> Result<(StatusCode, Json<StoredImage>), Failure> {
    Ok((StatusCode::CREATED, Json(uploads.fetch(&request.url).await?)))
}
