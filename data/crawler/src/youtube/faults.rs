//! What is wrong with an answer, in kinds that a caller acts on.
//!
//! Owns the kinds and what each asks for; does not act. Invariant: a layout that is not known is always a
//! [`SchemaDrift`] that says where it was and what was there, never an answer without items.

use std::fmt;

/// Something that should be in an answer and is not, or not as it should be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the layout of the answer has changed: {path}: {problem}")]
pub struct SchemaDrift {
    /// The way to it, as `contents.tabs[1].title`.
    pub path: String,
    /// What was expected, and what is there.
    pub problem: String,
}

impl SchemaDrift {
    /// Says that `problem` is to be found at `path`.
    #[must_use]
    pub fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }
}

/// What a fault asks of the caller.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FaultClass {
    /// It is about what was asked for, and will be the same next time.
    Permanent,
    /// It may be gone in a moment.
    Transient,
    /// The site takes us for a robot or wants a person: every request to it should rest for long.
    Blocked,
    /// The site has changed and this program has not.
    Drift,
}

/// Why an answer gives nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// There is no such channel.
    #[error("there is no such channel: {0}")]
    NotFound(String),
    /// The channel was closed by YouTube.
    #[error("the channel was terminated: {0}")]
    Terminated(String),
    /// The channel cannot be seen, for another reason.
    #[error("the channel is not available: {0}")]
    Unavailable(String),
    /// The channel is shown to adults who have signed in.
    #[error("the channel “{0}” is only shown to adults who have signed in")]
    AgeRestricted(String),
    /// The channel has no Videos tab, so no videos; these are its tabs.
    #[error("the channel has no Videos tab, only: {0}")]
    NoVideosTab(String),
    /// What was asked for is malformed, by YouTube's word.
    #[error("the request was refused: {0}")]
    InvalidArgument(String),
    /// A page that asks for consent to cookies stood in the way.
    #[error("a page asking for consent was sent instead")]
    Consent,
    /// A page that asks to prove that one is no robot stood in the way.
    #[error("a page asking to prove that we are no robot was sent instead")]
    Captcha,
    /// Too many requests, or requests that are not welcome.
    #[error("requests are refused for now: HTTP {0}")]
    Refused(u16),
    /// The server failed.
    #[error("the server failed: HTTP {0}")]
    Server(u16),
    /// The answer ends early, or what makes it an answer is left out.
    #[error("the answer is incomplete: {0}")]
    Incomplete(String),
    /// The answer is laid out in a way that is not known.
    #[error(transparent)]
    Drift(#[from] SchemaDrift),
}

impl Fault {
    /// Returns what it asks of the caller.
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

    /// Sorts the text of an error that is shown in place of a channel, in English.
    #[must_use]
    pub(super) fn of_alert(text: String) -> Self {
        let lower = text.to_lowercase();
        if lower.contains("terminated") {
            Self::Terminated(text)
        } else if ["does not exist", "doesn't exist", "not found"].iter().any(|words| lower.contains(words)) {
            Self::NotFound(text)
        } else {
            Self::Unavailable(text)
        }
    }

    /// Returns what a status other than 200 says by itself.
    #[must_use]
    pub(super) fn of_status(status: u16) -> Self {
        match status {
            404 | 410 => Self::NotFound(format!("HTTP {status}")),
            401 | 403 | 429 => Self::Refused(status),
            500..=599 | 408 => Self::Server(status),
            _ => SchemaDrift::new("HTTP", format!("status {status} is not known")).into(),
        }
    }
}

/// The keys of an object, for messages.
pub(super) struct ResponseKeys<'a>(pub(super) &'a serde_json::Value);

impl fmt::Display for ResponseKeys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 12;
        let Some(object) = self.0.as_object() else {
            return f.write_str("no object");
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
    fn alerts_are_sorted_by_their_words() {
        let check = |text: &str, expected: fn(String) -> Fault| {
            assert_eq!(Fault::of_alert(text.to_owned()), expected(text.to_owned()));
        };
        check("This channel does not exist.", Fault::NotFound);
        check("This account has been terminated because …", Fault::Terminated);
        check("This channel was removed because it violated our Community Guidelines.", Fault::Unavailable);
        check("This channel is not available.", Fault::Unavailable);
    }

    #[test]
    fn statuses_ask_for_what_they_should() {
        let check = |status, class| assert_eq!(Fault::of_status(status).class(), class, "{status}");
        check(404, FaultClass::Permanent);
        check(429, FaultClass::Blocked);
        check(403, FaultClass::Blocked);
        check(503, FaultClass::Transient);
        check(302, FaultClass::Drift);
    }
}
