//! What the Data API answers when it does not do what it was asked.
//!
//! Owns telling errors apart by the reason the API gives, whatever status it comes with.

use serde_json::Value;

use crate::youtube::{
    faults::{FaultClass, SchemaDrift},
    node::JsonNode,
};

/// Why the API gives no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ApiError {
    /// The units of this day are used up; there are new ones at midnight in California.
    #[error("the quota of today is used up; it is renewed at midnight Pacific time")]
    QuotaExceeded,
    /// Too many requests in too short a time.
    #[error("too many requests in a short time: {0}")]
    RateLimited(String),
    /// The key is wrong or has expired.
    #[error("the API key is not valid: {0}")]
    KeyInvalid(String),
    /// The key may not do this: the API is not enabled for it, or the channel does not want it.
    #[error("the API refuses this request: {0}")]
    Forbidden(String),
    /// What was asked for is not there.
    #[error("it is not there: {0}")]
    NotFound(String),
    /// The server failed.
    #[error("the API failed: HTTP {0}")]
    Server(u16),
    /// The answer ends early.
    #[error("the answer is incomplete: {0}")]
    Incomplete(String),
    /// Another error, in the API's words.
    #[error("the API answers: {0}")]
    Other(String),
    /// The answer is laid out in a way that is not known.
    #[error(transparent)]
    Drift(#[from] SchemaDrift),
}

impl ApiError {
    /// Returns what it asks of the caller.
    #[must_use]
    pub fn class(&self) -> FaultClass {
        match self {
            Self::QuotaExceeded => FaultClass::Blocked,
            Self::RateLimited(_) | Self::Server(_) | Self::Incomplete(_) => FaultClass::Transient,
            Self::KeyInvalid(_) | Self::Forbidden(_) | Self::NotFound(_) | Self::Other(_) => {
                FaultClass::Permanent
            }
            Self::Drift(_) => FaultClass::Drift,
        }
    }
}

/// Reads the body of an answer.
///
/// # Errors
/// When it is an error, or no JSON.
pub fn from_body(status: u16, body: &[u8]) -> Result<Value, ApiError> {
    let value: Result<Value, _> = serde_json::from_slice(body);
    match (status, value) {
        (200, Ok(value)) if value.get("error").is_none() => Ok(value),
        (200, Err(error)) if error.is_eof() => Err(ApiError::Incomplete(error.to_string())),
        (200, Err(error)) => Err(SchemaDrift::new("the answer", format!("no JSON: {error}")).into()),
        (500..=599, _) => Err(ApiError::Server(status)),
        (_, Ok(value)) => Err(error(status, &JsonNode::root(&value))),
        (_, Err(_)) => Err(ApiError::Other(format!("HTTP {status}"))),
    }
}

fn error(status: u16, root: &JsonNode<'_>) -> ApiError {
    let message = root.text_at(&["error", "message"]).unwrap_or("an error without words").to_owned();
    // A wrong key is a `badRequest`; only the details say which.
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
        "backendError" | "internalError" => ApiError::Server(status),
        reason => ApiError::Other(format!("{reason}: {message}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_are_told_apart_by_their_reason() {
        let check = |status, reason: &str, expected: ApiError, class| {
            let body =
                json!({"error": {"code": status, "message": "Words.", "errors": [{"reason": reason}]}});
            let error = from_body(status, body.to_string().as_bytes()).unwrap_err();
            println!("{status} {reason:<26} {:?}: {error}", error.class());
            assert_eq!((error.class(), error), (class, expected), "{reason}");
        };
        let words = || "Words.".to_owned();
        check(403, "quotaExceeded", ApiError::QuotaExceeded, FaultClass::Blocked);
        check(403, "rateLimitExceeded", ApiError::RateLimited(words()), FaultClass::Transient);
        check(400, "keyInvalid", ApiError::KeyInvalid(words()), FaultClass::Permanent);
        check(403, "forbidden", ApiError::Forbidden(words()), FaultClass::Permanent);
        check(403, "accessNotConfigured", ApiError::Forbidden(words()), FaultClass::Permanent);
        check(404, "playlistNotFound", ApiError::NotFound(words()), FaultClass::Permanent);
        check(
            400,
            "invalidParameter",
            ApiError::Other("invalidParameter: Words.".to_owned()),
            FaultClass::Permanent,
        );
        check(503, "backendError", ApiError::Server(503), FaultClass::Transient);
    }

    #[test]
    fn odd_bodies_say_what_they_are() {
        let details = json!([{"reason": "API_KEY_INVALID"}]);
        let errors = json!([{"reason": "badRequest"}]);
        let words = "API key not valid.";
        let wrong_key =
            json!({"error": {"code": 400, "message": words, "errors": errors, "details": details}});
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
