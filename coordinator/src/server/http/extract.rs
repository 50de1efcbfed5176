//! Extractors whose rejections are problem details.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequest, FromRequestParts, Path, Query, Request},
    http::{
        HeaderMap, HeaderName, StatusCode,
        header::{CONTENT_TYPE, LOCATION},
        request::Parts,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use common::ids::SubmissionId;
use serde::de::DeserializeOwned;

use super::{auth::TokenName, body, problem::Failure, trace_context::traceparent};
use crate::{
    api::{IDEMPOTENCY_KEY, routes::Route},
    server::{
        context::Context,
        lookup,
        shared_budget::Reservation,
        submissions::{Caller, IdempotencyKey},
        uploads::Uploads,
    },
};

/// Limit of JSON bodies; enough for [`crate::api::SubmissionRequest::MAX_IMAGES`].
const MAX_JSON_BYTES: usize = 4 << 20;

/// A JSON body, with its reserved memory: keep it until the request is handled.
pub(super) struct Json<T>(pub(super) T, pub(super) Reservation);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T>
where
    Arc<Uploads>: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        if !is_json(request.headers()) {
            return Err(Failure::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body must be JSON with `content-type: application/json`",
            ));
        }
        let uploads = Arc::<Uploads>::from_ref(state);
        let too_large = format!("the body exceeds the limit of {MAX_JSON_BYTES} bytes");
        let body = body::read(request, uploads.memory(), MAX_JSON_BYTES, &too_large).await?;
        match axum::Json::<T>::from_bytes(&body.bytes) {
            Ok(axum::Json(value)) => Ok(Self(value, body.reservation)),
            Err(rejection) => Err(Failure::new(rejection.status(), rejection.body_text())),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

/// The token, idempotency key and trace context of a submit request.
pub(super) struct CallerHeaders(pub(super) Caller);

impl<S: Send + Sync> FromRequestParts<S> for CallerHeaders {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let key = parts.headers.get(IDEMPOTENCY_KEY);
        let key = key.map(|value| IdempotencyKey::new(value.to_str().unwrap_or_default())).transpose()?;
        let token = parts.extensions.get::<TokenName>().map(|TokenName(name)| name.clone());
        Ok(Self(Caller { token, key, traceparent: traceparent(&parts.headers) }))
    }
}

/// The submission or run that the path parameter `{id}` names; see [`lookup::id`].
pub(super) struct Id(pub(super) SubmissionId);

impl<S: Send + Sync> FromRequestParts<S> for Id
where
    Arc<Context>: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let text =
            Path::<String>::from_request_parts(parts, state).await.map(|Path(text)| text).unwrap_or_default();
        let context = Arc::<Context>::from_ref(state);
        Ok(Self(lookup::id(&context, &text).await?))
    }
}

/// Query parameters.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => {
                let text = rejection.body_text();
                let problem = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
                Err(Failure::new(StatusCode::BAD_REQUEST, format!("invalid query: {problem}")))
            }
        }
    }
}

/// Middleware for handlers without [`Params`]: rejects a query, which would have no effect.
pub(super) async fn reject_query(request: Request, next: Next) -> Response {
    match request.uri().query() {
        None | Some("") => next.run(request).await,
        Some(_) => {
            let detail = format!("invalid query: {} has no query parameters", request.uri().path());
            Failure::new(StatusCode::BAD_REQUEST, detail).into_response()
        }
    }
}

/// The `Location` header of a created submission or run.
pub(super) fn location(route: Route, id: SubmissionId) -> [(HeaderName, String); 1] {
    [(LOCATION, format!("/{}", route.segments(&[&id.to_string()]).join("/")))]
}
