//! Extractors whose rejections are problem details.

use axum::{
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::JsonRejection},
    http::{HeaderName, StatusCode, header::LOCATION, request::Parts},
};
use common::ids::SubmissionId;
use serde::de::DeserializeOwned;

use super::{problem::Failure, trace_context::traceparent};
use crate::{
    api::{IDEMPOTENCY_KEY, routes::Route},
    server::submissions::{Caller, IdempotencyKey},
};

pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(JsonRejection::MissingJsonContentType(_)) => Err(Failure::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body must be JSON with `content-type: application/json`",
            )),
            Err(rejection) => Err(Failure::new(rejection.status(), rejection.body_text())),
        }
    }
}

/// The idempotency key and trace context of a submit request.
pub(super) struct CallerHeaders(pub(super) Caller);

impl<S: Send + Sync> FromRequestParts<S> for CallerHeaders {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let key = parts.headers.get(IDEMPOTENCY_KEY);
        let key = key.map(|value| IdempotencyKey::new(value.to_str().unwrap_or_default())).transpose()?;
        Ok(Self(Caller { key, traceparent: traceparent(&parts.headers) }))
    }
}

/// The path parameter `{id}`.
pub(super) struct Id(pub(super) SubmissionId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let text =
            Path::<String>::from_request_parts(parts, state).await.map(|Path(text)| text).unwrap_or_default();
        let invalid =
            || Failure::new(StatusCode::NOT_FOUND, format!("'{text}' is not a submission or run ID"));
        text.parse().map(Self).map_err(|_| invalid())
    }
}

/// Query parameters.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(Failure::new(StatusCode::BAD_REQUEST, rejection.body_text())),
        }
    }
}

/// The `Location` header of a created submission or run.
pub(super) fn location(route: Route, id: SubmissionId) -> [(HeaderName, String); 1] {
    [(LOCATION, format!("/{}", route.segments(&[&id.to_string()]).join("/")))]
}
