//! Errors as RFC 9457 problem details (`application/problem+json`), with the status of each [`RequestError`].

use axum::{
    http::{
        Method, StatusCode, Uri,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};

use crate::{api::Problem, server::error::RequestError};

/// Limit of `detail`. Details often quote the wrong value, which may have megabytes.
const MAX_DETAIL_BYTES: usize = 2048;

/// An error response.
#[derive(Debug)]
pub(super) struct Failure {
    problem: Problem,
    /// Value of `Retry-After`, in seconds.
    retry_after: Option<u64>,
}

/// `Retry-After` of a [`RequestError::Busy`].
const RETRY_AFTER_SECONDS: u64 = 10;

impl Failure {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        let kind = format!("/problems/{}", title.to_lowercase().replace(' ', "-"));
        let mut detail = detail.into();
        if detail.len() > MAX_DETAIL_BYTES {
            detail.truncate(detail.floor_char_boundary(MAX_DETAIL_BYTES));
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
    Failure::new(StatusCode::NOT_FOUND, format!("no such path: {}", uri.path()))
}

pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not support {method}", uri.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_details_are_truncated() {
        let Failure { problem, .. } =
            RequestError::Invalid(format!("invalid cursor '{}'", "é".repeat(5000))).into();
        assert!(problem.detail.len() < MAX_DETAIL_BYTES + 4 && problem.detail.ends_with("é…"));
    }

    #[test]
    fn problems_keep_their_json() {
        let Failure { problem, .. } = RequestError::NotFound("run 'x' does not exist".to_owned()).into();
        insta::assert_json_snapshot!(problem, @r#"
        {
          "type": "/problems/not-found",
          "title": "Not Found",
          "status": 404,
          "detail": "run 'x' does not exist"
        }
        "#);
    }
}
