//! Dead letters: jobs that were discarded.

use serde::{Deserialize, Serialize};

use super::{jobs::AttemptErrorView, paging::Paging};

/// A dead letter: a line of `GET /v1/dead-letters`. `id`, `submission`, `job` and `kind` are taken from the
/// message as it arrived; a malformed one may lack them or hold any text.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DeadLetterView {
    pub id: String,
    /// The submission or run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submission: Option<String>,
    /// The job's name within its submission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Kind of job, such as `embed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Why it was discarded: `poison`, `attempts`, `expired`, `failed`, `rejected`, `conflict`, or the
    /// broker's `x-death` reason.
    pub reason: String,
    pub error: String,
    /// Number of attempts made.
    pub attempts: u32,
    /// Number of times an operator had requeued it.
    pub generation: u32,
    /// Errors of earlier attempts, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempt_errors: Vec<AttemptErrorView>,
    /// The worker that discarded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// The queue it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// When it was recorded, in Unix milliseconds.
    pub recorded_ms: u64,
    /// The message body as lossy UTF-8; absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}

/// Selects dead letters that match every given field. The empty filter accepts all.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetterFilter {
    /// Kind of job, such as `embed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Why they were discarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The submission or run they belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submission: Option<String>,
}

impl DeadLetterFilter {
    /// Returns whether `letter` matches every given field.
    #[must_use]
    pub fn accepts(&self, letter: &DeadLetterView) -> bool {
        let matches = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == found)
        };
        matches(&self.kind, letter.kind.as_deref())
            && matches(&self.reason, Some(&letter.reason))
            && matches(&self.submission, letter.submission.as_deref())
    }
}

/// Query of `GET /v1/dead-letters`: the fields of [`DeadLetterFilter`] and [`Paging`], flat as a query string is.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterParams {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    submission: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    #[serde(default, deserialize_with = "Paging::read_limit", skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
}

impl DeadLetterParams {
    #[must_use]
    pub fn new(filter: DeadLetterFilter, paging: Paging) -> Self {
        let (DeadLetterFilter { kind, reason, submission }, Paging { cursor, limit }) = (filter, paging);
        Self { kind, reason, submission, cursor, limit }
    }

    #[must_use]
    pub fn into_parts(self) -> (DeadLetterFilter, Paging) {
        let Self { kind, reason, submission, cursor, limit } = self;
        (DeadLetterFilter { kind, reason, submission }, Paging { cursor, limit })
    }
}

/// `POST /v1/dead-letters/requeue` and `POST /v1/dead-letters/purge`: exactly one of `ids`, a non-empty `filter`,
/// or `all`.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetterSelection {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<DeadLetterFilter>,
    pub all: bool,
    /// `next` of the previous response, to continue a large selection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Result of one requeue or purge request.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct DeadLetterOutcome {
    /// Number of letters requeued or purged.
    pub processed: u64,
    /// Number of items that went from failed back to pending.
    pub restored_items: u64,
    /// Letters that were left unchanged.
    pub refused: Vec<Refused>,
    /// Send it as `cursor` to continue; absent when the selection is exhausted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A letter that was left unchanged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refused {
    pub id: String,
    pub reason: String,
}
