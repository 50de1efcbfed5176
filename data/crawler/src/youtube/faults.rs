//! Errors in responses, classified by what the caller must do.
//!
//! Invariant: an unknown layout is a [`SchemaDrift`] with its JSON path, never a response without items.

use std::fmt;

/// A value in a response that is missing or unexpected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown response layout at {path}: {problem}")]
pub struct SchemaDrift {
    /// JSON path, such as `contents.tabs[1].title`; `$` for the root.
    pub path: String,
    /// What was expected, and what was found.
    pub problem: String,
}

impl SchemaDrift {
    #[must_use]
    pub fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }
}

/// What the caller must do about a fault.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FaultClass {
    /// Fail the item: another request would end the same way.
    Permanent,
    /// Retry.
    Transient,
    /// Back off from the host: it blocks automated requests.
    Blocked,
    /// Record the response and fail the item: the site has changed its layout.
    Drift,
}

/// Why a response has no usable data.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    #[error("the channel does not exist: {0}")]
    NotFound(String),
    #[error("the channel was terminated: {0}")]
    Terminated(String),
    #[error("the channel is unavailable: {0}")]
    Unavailable(String),
    /// The channel is visible only to signed-in adults.
    #[error("the channel “{0}” is age-restricted")]
    AgeRestricted(String),
    /// The channel's tabs, without a Videos tab.
    #[error("the channel has no Videos tab; its tabs are: {0}")]
    NoVideosTab(String),
    #[error("YouTube rejects the request as invalid: {0}")]
    InvalidArgument(String),
    #[error("the host returned a consent page")]
    Consent,
    #[error("the host returned a captcha")]
    Captcha,
    /// 401, 403 or 429.
    #[error("the host blocks requests: HTTP {0}")]
    Refused(u16),
    #[error("server error: HTTP {0}")]
    Server(u16),
    /// The response is truncated, or lacks its contents.
    #[error("incomplete response: {0}")]
    Incomplete(String),
    #[error(transparent)]
    Drift(#[from] SchemaDrift),
}

impl Fault {
    #[must_use]
    pub fn class(&self) -> FaultClass {
        match self {
            Self::NotFound(_)
            | Self::Terminated(_)
            | Self::Unavailable(_)
            | Self::AgeRestricted(_)
            | Self::NoVideosTab(_)
            | Self::InvalidArgument(_) => FaultClass::Permanent,
            Self::Server(_) | Self::Incomplete(_) => FaultClass::Transient,
            Self::Consent | Self::Captcha | Self::Refused(_) => FaultClass::Blocked,
            Self::Drift(_) => FaultClass::Drift,
        }
    }

    /// Classifies the English text of an error page.
    #[must_use]
    pub(super) fn from_alert(text: String) -> Self {
        let lower = text.to_lowercase();
        if lower.contains("terminated") {
            Self::Terminated(text)
        } else if ["does not exist", "doesn't exist", "not found"].iter().any(|phrase| lower.contains(phrase))
        {
            Self::NotFound(text)
        } else {
            Self::Unavailable(text)
        }
    }

    /// Classifies a status other than 200.
    #[must_use]
    pub(super) fn from_status(status: u16) -> Self {
        match status {
            404 | 410 => Self::NotFound(format!("HTTP {status}")),
            401 | 403 | 429 => Self::Refused(status),
            500..=599 | 408 => Self::Server(status),
            _ => SchemaDrift::new("HTTP", format!("unexpected status {status}")).into(),
        }
    }
}

/// Displays the keys of an object.
pub(super) struct ResponseKeys<'a>(pub(super) &'a serde_json::Value);

impl fmt::Display for ResponseKeys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 12;
        let Some(object) = self.0.as_object() else {
            return f.write_str("a value that is not an object");
        };
        let keys: Vec<&str> = object.keys().map(String::as_str).take(SHOWN).collect();
        f.write_str(if keys.is_empty() { "nothing" } else { "" })?;
        f.write_str(&keys.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_classified_by_their_text() {
        let check = |text: &str, expected: fn(String) -> Fault| {
            assert_eq!(Fault::from_alert(text.to_owned()), expected(text.to_owned()));
        };
        check("This channel does not exist.", Fault::NotFound);
        check("This account has been terminated because …", Fault::Terminated);
        check("This channel was removed because it violated our Community Guidelines.", Fault::Unavailable);
        check("This channel is not available.", Fault::Unavailable);
    }

    #[test]
    fn statuses_are_classified() {
        let check = |status, class| assert_eq!(Fault::from_status(status).class(), class, "{status}");
        check(404, FaultClass::Permanent);
        check(429, FaultClass::Blocked);
        check(403, FaultClass::Blocked);
        check(503, FaultClass::Transient);
        check(302, FaultClass::Drift);
    }
}
