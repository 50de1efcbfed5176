//! `/v1/images`: uploads an image, or has one fetched.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension, Json,
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE},
};

use bytes::BytesMut;
use futures::StreamExt;

use super::{auth::TokenName, extract::Json as JsonRequest, problem::Failure};
use crate::{
    api::{DroppedUploads, FetchRequest, StoredImage},
    server::uploads::Uploads,
};

/// Least average rate of an upload after [`GRACE`].
const MIN_BYTES_PER_SECOND: u64 = 32 << 10;
const GRACE: Duration = Duration::from_secs(3);

pub(super) async fn create(
    State(uploads): State<Arc<Uploads>>,
    request: Request,
) -> Result<(StatusCode, Json<StoredImage>), Failure> {
    require_image(request.headers())?;
    // Reserved before the body is read, so that concurrent uploads stay within the memory limit.
    let token = request.extensions().get::<TokenName>().map(|TokenName(name)| name.clone());
    let expected = request.body().size_hint().upper();
    let _reservation = uploads.reserve(token.as_deref(), expected).await;
    let bytes = read(request.into_body(), uploads.max_bytes()).await?;
    Ok((StatusCode::CREATED, Json(uploads.put(bytes).await?)))
}

/// Reads a body that arrives at a reasonable rate: a slow one would keep its memory reserved.
async fn read(body: Body, max_bytes: usize) -> Result<Bytes, Failure> {
    let too_slow = || {
        let detail =
            format!("the image arrives too slowly: send at least {MIN_BYTES_PER_SECOND} bytes per second");
        Failure::new(StatusCode::REQUEST_TIMEOUT, detail)
    };
    let start = Instant::now();
    let mut frames = body.into_data_stream();
    let mut bytes = BytesMut::new();
    loop {
        let earned = Duration::from_secs_f64(bytes.len() as f64 / MIN_BYTES_PER_SECOND as f64);
        let left = (GRACE + earned).saturating_sub(start.elapsed());
        let next = tokio::time::timeout(left, frames.next()).await.map_err(|_| too_slow())?;
        let Some(frame) = next else { return Ok(bytes.freeze()) };
        let frame = frame.map_err(|error| Failure::new(StatusCode::BAD_REQUEST, error.to_string()))?;
        if bytes.len() + frame.len() > max_bytes {
            return Err(Failure::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the image exceeds the coordinator's size limit (SUBWATCH_MAX_IMAGE_BYTES)",
            ));
        }
        bytes.extend_from_slice(&frame);
    }
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
    JsonRequest(request): JsonRequest<FetchRequest>,
) -> Result<(StatusCode, Json<StoredImage>), Failure> {
    let token = token.as_ref().map(|Extension(TokenName(name))| name.as_str());
    Ok((StatusCode::CREATED, Json(uploads.fetch(token, &request.url).await?)))
}
