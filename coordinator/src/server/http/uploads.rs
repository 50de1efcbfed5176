//! `/v1/images`: uploads an image, or has one fetched.

use std::sync::Arc;

use axum::{
    Json,
    body::{Bytes, HttpBody},
    extract::{FromRequest, Request, State, rejection::BytesRejection},
    http::StatusCode,
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

pub(super) async fn fetch(
    State(uploads): State<Arc<Uploads>>,
    JsonRequest(request): JsonRequest<FetchRequest>,
) -> Result<(StatusCode, Json<StoredImage>), Failure> {
    Ok((StatusCode::CREATED, Json(uploads.fetch(&request.url).await?)))
}
