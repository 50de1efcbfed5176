//! `/v1/images`: images of callers, sent or to be fetched.

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
    // Before anything of it is read, so that many at once cost no more memory than there is.
    let _room = uploads.room(request.body().size_hint().upper()).await;
    let body: Result<Bytes, BytesRejection> = Bytes::from_request(request, &()).await;
    let bytes = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the image is over the coordinator's limit (SUBWATCH_MAX_IMAGE_BYTES)",
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
