//! `/v1/images`: bytes of images on the caller's machine.

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::StatusCode,
};

use super::problem::Failure;
use crate::{api::StoredImage, service::Coordinator};

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
