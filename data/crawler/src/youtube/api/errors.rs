//! Error responses of the Data API, classified by the API's reason rather than by the HTTP status.

use serde_json::Value;

use crate::youtube::{
    faults::{FaultClass, SchemaDrift},
    node::JsonNode,
};

/// An error of the Data API.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ApiError {
    #[error("the daily quota is used up; it resets at midnight Pacific time")]
    QuotaExceeded,
    #[error("rate limit exceeded: {0}")]
    RateLimited(String),
    /// Also an expired key.
    #[error("the API key is invalid: {0}")]
    KeyInvalid(String),
    /// The API is not enabled for the key, or the channel does not permit it.
    #[error("the API forbids the request: {0}")]
    Forbidden(String),
    #[error("not found: {0}")]
    NotFound(String),
    /// A page token expires, and the API forgets tokens.
    #[error("invalid page token: {0}")]
    InvalidPageToken(String),
    #[error("Data API server error: HTTP {0}")]
    Server(u16),
    /// The response is truncated.
    #[error("incomplete response: {0}")]
    Incomplete(String),
    #[error("Data API error: {0}")]
    Other(String),
    #[error(transparent)]
    Drift(#[from] SchemaDrift),
}

impl ApiError {
    #[must_use]
    pub fn class(&self) -> FaultClass {
        match self {
            Self::QuotaExceeded => FaultClass::Blocked,
            Self::RateLimited(_) | Self::Server(_) | Self::Incomplete(_) => FaultClass::Transient,
            Self::KeyInvalid(_)
            | Self::Forbidden(_)
            | Self::NotFound(_)
            | Self::InvalidPageToken(_)
            | Self::Other(_) => FaultClass::Permanent,
            Self::Drift(_) => FaultClass::Drift,
        }
    }
}

/// Parses the body of a response.
pub fn from_body(status: u16, body: &[u8]) -> Result<Value, ApiError> {
    let value: Result<Value, _> = serde_json::from_slice(body);
    match (status, value) {
        (200, Ok(value)) if value.get("error").is_none() => Ok(value),
        (200, Err(error)) if error.is_eof() => Err(ApiError::Incomplete(error.to_string())),
        (200, Err(error)) => Err(SchemaDrift::new("$", format!("invalid JSON: {error}")).into()),
        (500..=599, _) => Err(ApiError::Server(status)),
        (_, Ok(value)) => Err(error(status, &JsonNode::root(&value))),
        (_, Err(_)) => Err(ApiError::Other(format!("HTTP {status}"))),
    }
}

fn error(status: u16, root: &JsonNode<'_>) -> ApiError {
    let message = root.text_at(&["error", "message"]).unwrap_or("an error without a message").to_owned();
    // An invalid key has the reason `badRequest`; only the details identify it.
    let mut details = root.items_at(&["error", "details"]).into_iter();
    if details.any(|detail| detail.text_at(&["reason"]) == Some("API_KEY_INVALID")) {
        return ApiError::KeyInvalid(message);
    }
    let errors = root.items_at(&["error", "errors"]);
    let Some(reason) = errors.first().and_then(|error| error.text_at(&["reason"])) else {
        return SchemaDrift::new("error.errors[0].reason", format!("missing; HTTP {status}: {message}"))
            .into();
    };
    match reason {
        "quotaExceeded" | "dailyLimitExceeded" => ApiError::QuotaExceeded,
        "rateLimitExceeded" | "userRateLimitExceeded" => ApiError::RateLimited(message),
        "keyInvalid" | "keyExpired" => ApiError::KeyInvalid(message),
        "forbidden"
        | "accessNotConfigured"
        | "channelForbidden"
        | "playlistItemsNotAccessible"
        | "ipRefererBlocked" => ApiError::Forbidden(message),
        "notFound" | "channelNotFound" | "playlistNotFound" | "videoNotFound" => ApiError::NotFound(message),
        "invalidPageToken" => ApiError::InvalidPageToken(message),
        "backendError" | "internalError" => ApiError::Server(status),
        reason => ApiError::Other(format!("{reason}: {message}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_are_classified_by_their_reason() {
        let check = |status, reason: &str, expected: ApiError, class| {
            let body =
                json!({"error": {"code": status, "message": "Message.", "errors": [{"reason": reason}]}});
            let error = from_body(status, body.to_string().as_bytes()).unwrap_err();
            println!("{status} {reason:<26} {:?}: {error}", error.class());
            assert_eq!((error.class(), error), (class, expected), "{reason}");
        };
        let message = || "Message.".to_owned();
        check(403, "quotaExceeded", ApiError::QuotaExceeded, FaultClass::Blocked);
        check(403, "rateLimitExceeded", ApiError::RateLimited(message()), FaultClass::Transient);
        check(400, "keyInvalid", ApiError::KeyInvalid(message()), FaultClass::Permanent);
        check(403, "forbidden", ApiError::Forbidden(message()), FaultClass::Permanent);
        check(400, "invalidPageToken", ApiError::InvalidPageToken(message()), FaultClass::Permanent);
        check(403, "accessNotConfigured", ApiError::Forbidden(message()), FaultClass::Permanent);
        check(404, "playlistNotFound", ApiError::NotFound(message()), FaultClass::Permanent);
        check(
            400,
            "invalidParameter",
            ApiError::Other("invalidParameter: Message.".to_owned()),
            FaultClass::Permanent,
        );
        check(503, "backendError", ApiError::Server(503), FaultClass::Transient);
    }

    #[test]
    fn unusual_error_bodies_are_classified() {
        let details = json!([{"reason": "API_KEY_INVALID"}]);
        let errors = json!([{"reason": "badRequest"}]);
        let message = "API key not valid.";
        let wrong_key =
            json!({"error": {"code": 400, "message": message, "errors": errors, "details": details}});
        let check = |status, body: &str, expected: ApiError| {
            assert_eq!(from_body(status, body.as_bytes()), Err(expected), "{body}");
        };
        check(400, &wrong_key.to_string(), ApiError::KeyInvalid("API key not valid.".to_owned()));
        check(502, "<html>", ApiError::Server(502));
        check(418, "<html>", ApiError::Other("HTTP 418".to_owned()));
        let unexplained = SchemaDrift::new("error.errors[0].reason", "missing; HTTP 403: No.");
        check(403, "{\"error\": {\"message\": \"No.\"}}", unexplained.into());
        assert!(matches!(from_body(200, b"{\"items\": ["), Err(ApiError::Incomplete(_))));
        assert!(matches!(from_body(200, b"<html>"), Err(ApiError::Drift(_))));
        assert_eq!(from_body(200, b"{}"), Ok(json!({})));
    }
}
