//! Errors as RFC 9457 problem details.
//!
//! Owns the form: `application/problem+json` with a type, a title, a status and a detail that says what to
//! change. Also owns the extractors whose rejections would otherwise be plain text.

use axum::{
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::JsonRejection},
    http::{
        Method, StatusCode, Uri,
        header::{CONTENT_TYPE, RETRY_AFTER},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use common::ids::SubmissionId;
use serde::de::DeserializeOwned;

use crate::{
    api::Problem,
    server::service::{IdempotencyKey, RequestError},
};

/// Longest detail. What is wrong is often repeated, and may be megabytes.
const LONGEST_DETAIL: usize = 2048;

/// An error on its way out.
#[derive(Debug)]
pub(super) struct Failure {
    problem: Problem,
    /// Seconds after which the same request may succeed.
    retry_after: Option<u64>,
}

/// When a request that met too much going on may be sent again.
const RETRY_AFTER_SECONDS: u64 = 10;

impl Failure {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        let kind = format!("/problems/{}", title.to_lowercase().replace(' ', "-"));
        let mut detail = detail.into();
        if detail.len() > LONGEST_DETAIL {
            detail.truncate(detail.floor_char_boundary(LONGEST_DETAIL));
            detail.push('…');
        }
        let problem = Problem { kind, title, status: status.as_u16(), detail };
        Self { problem, retry_after: None }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.problem).expect("a problem is plain data");
        let mut response = (status, [(CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        let status = match error {
            RequestError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            RequestError::Forbidden(_) => StatusCode::FORBIDDEN,
            RequestError::NotFound(_) => StatusCode::NOT_FOUND,
            RequestError::Conflict(_) => StatusCode::CONFLICT,
            RequestError::Busy(_) => StatusCode::TOO_MANY_REQUESTS,
            RequestError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let retry_after = matches!(error, RequestError::Busy(_)).then_some(RETRY_AFTER_SECONDS);
        Self { retry_after, ..Self::new(status, error.to_string()) }
    }
}

pub(super) async fn not_found(uri: Uri) -> Failure {
    Failure::new(StatusCode::NOT_FOUND, format!("there is nothing at {}", uri.path()))
}

pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} takes no {method}", uri.path()))
}

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(JsonRejection::MissingJsonContentType(_)) => Err(Failure::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body must be JSON, with content-type: application/json",
            )),
            Err(rejection) => Err(Failure::new(rejection.status(), rejection.body_text())),
        }
    }
}

/// The `Idempotency-Key` of a request, if it has one (draft-ietf-httpapi-idempotency-key-header).
pub(super) struct Idempotency(pub(super) Option<IdempotencyKey>);

impl<S: Send + Sync> FromRequestParts<S> for Idempotency {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        Ok(Self(Some(IdempotencyKey::new(value.to_str().unwrap_or_default())?)))
    }
}

/// The `{id}` of a path.
pub(super) struct Id(pub(super) SubmissionId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let text =
            Path::<String>::from_request_parts(parts, state).await.map(|Path(text)| text).unwrap_or_default();
        let unknown =
            || Failure::new(StatusCode::NOT_FOUND, format!("'{text}' is no id of a submission or run"));
        text.parse().map(Self).map_err(|_| unknown())
    }
}

/// A query string.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_details_are_cut() {
        let Failure { problem, .. } =
            RequestError::Invalid(format!("'{}' is no cursor", "é".repeat(5000))).into();
        assert!(problem.detail.len() < LONGEST_DETAIL + 4 && problem.detail.ends_with("é…"));
    }

    #[test]
    fn problems_keep_their_shape() {
        let Failure { problem, .. } = RequestError::NotFound("there is no run 'x'".to_owned()).into();
        insta::assert_json_snapshot!(problem, @r#"
        {
          "type": "/problems/not-found",
          "title": "Not Found",
          "status": 404,
          "detail": "there is no run 'x'"
        }
        "#);
    }
}
