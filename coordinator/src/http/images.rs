//! `/v1/images`: images of callers, sent or to be fetched.

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::StatusCode,
};

use super::problem::{Failure, Json as JsonRequest};
use crate::{
    api::{FetchRequest, StoredImage},
    service::Coordinator,
};

pub(super) async fn create(
    State(coordinator): State<Coordinator>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<StoredImage>), Failure> {
    let bytes = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the image is over the coordinator's limit (SUBWATCH_MAX_IMAGE_BYTES)",
        ),
        status => Failure::new(status, rejection.body_text()),
    })?;
    Ok((StatusCode::CREATED, Json(coordinator.put_image(bytes).await?)))
}

pub(super) async fn fetch(
    State(coordinator): State<Coordinator>,
    JsonRequest(request): JsonRequest<FetchRequest>,
) -> Result<(StatusCode, Json<StoredImage>), Failure> {
    Ok((StatusCode::CREATED, Json(coordinator.fetch_image(&request.url).await?)))
}
