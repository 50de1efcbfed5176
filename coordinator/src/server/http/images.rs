//! `/v1/images`: images of callers, sent or to be fetched.

use axum::{
    Json,
    body::{Bytes, HttpBody},
    extract::{FromRequest, Request, State, rejection::BytesRejection},
    http::StatusCode,
};

use super::problem::{Failure, Json as JsonRequest};
use crate::{
    api::{FetchRequest, StoredImage},
    server::service::Coordinator,
};

pub(super) async fn create(
    State(coordinator): State<Coordinator>,
    request: Request,
) -> Result<(StatusCode, Json<StoredImage>), Failure> {
    // Before anything of it is read, so that many at once cost no more memory than there is.
    let _room = coordinator.room_for_upload(request.body().size_hint().upper()).await;
    let body: Result<Bytes, BytesRejection> = Bytes::from_request(request, &()).await;
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
