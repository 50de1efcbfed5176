//! `/v1/images`: uploads an image, or has one fetched.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE},
};

use super::{auth::TokenName, body, extract::Json as JsonRequest, problem::Failure};
use crate::{
    api::{DroppedUploads, FetchRequest, StoredImage},
    server::uploads::Uploads,
};

const TOO_LARGE: &str = "the image exceeds the coordinator's size limit (SUBWATCH_MAX_IMAGE_BYTES)";

pub(super) async fn create(
    State(uploads): State<Arc<Uploads>>,
    request: Request,
) -> Result<(StatusCode, Json<StoredImage>), Failure> {
    require_image(request.headers())?;
    let body = body::read(request, uploads.memory(), uploads.max_bytes(), TOO_LARGE).await?;
    let stored = uploads.put(body.bytes).await?;
    drop(body.reservation);
    Ok((StatusCode::CREATED, Json(stored)))
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

pub(super) async fn drop_all(State(uploads): State<Arc<Uploads>>) -> Result<Json<DroppedUploads>, Failure> {
    Ok(Json(uploads.drop_all().await?))
}

pub(super) async fn fetch(
    State(uploads): State<Arc<Uploads>>,
    token: Option<Extension<TokenName>>,
    JsonRequest(request, memory): JsonRequest<FetchRequest>,
) -> Result<(StatusCode, Json<StoredImage>), Failure> {
    // Requests that keep it would wait for each other when they reserve that of their images.
    drop(memory);
    let token = token.as_ref().map(|Extension(TokenName(name))| name.as_str());
    Ok((StatusCode::CREATED, Json(uploads.fetch(token, &request.url).await?)))
}
