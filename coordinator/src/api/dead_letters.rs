//! Dead letters: jobs that were discarded.

use serde::{Deserialize, Serialize};

use super::{jobs::MishapView, paging::Paging};

/// A dead letter: a line of `GET /v1/dead`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DeadView {
    /// Job id, or what stood in its place.
    pub id: String,
    /// The submission or run, or what stood in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submission: Option<String>,
    /// What singles the job out within its submission; nothing when it is no job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Kind of job, such as `embed`; nothing when it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Why it was discarded: `poison`, `attempts`, `expired`, `failed`, `rejected`, `conflict`, or the broker's word.
    pub reason: String,
    /// The error behind the reason.
    pub error: String,
    /// Attempts made.
    pub attempts: u32,
    /// How often it had been requeued.
    pub generation: u32,
    /// What went wrong before, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<MishapView>,
    /// The worker that discarded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// The queue it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// When it was recorded, in milliseconds since 1970.
    pub recorded_ms: u64,
    /// Its body, as far as it is text; not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}

/// Which dead letters are meant. All that is given must hold; nothing given means none.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadFilter {
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

impl DeadFilter {
    /// Whether everything that is given holds for `letter`.
    #[must_use]
    pub fn accepts(&self, letter: &DeadView) -> bool {
        let holds = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == found)
        };
        holds(&self.kind, letter.kind.as_deref())
            && holds(&self.reason, Some(&letter.reason))
            && holds(&self.submission, letter.submission.as_deref())
    }
}

/// Query of `GET /v1/dead`: a [`DeadFilter`] and a [`Paging`] in one, since a query string has no structure.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct DeadParams {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    submission: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
}

impl DeadParams {
    /// Makes the query of a page of the letters that `filter` accepts.
    #[must_use]
    pub fn new(filter: DeadFilter, paging: Paging) -> Self {
        let (DeadFilter { kind, reason, submission }, Paging { cursor, limit }) = (filter, paging);
        Self { kind, reason, submission, cursor, limit }
    }

    /// Returns the two halves of the query.
    #[must_use]
    pub fn into_parts(self) -> (DeadFilter, Paging) {
        let Self { kind, reason, submission, cursor, limit } = self;
        (DeadFilter { kind, reason, submission }, Paging { cursor, limit })
    }
}

/// `POST /v1/dead/requeue` and `POST /v1/dead/purge`: ids, or a filter, or all.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadSelection {
    /// These.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// Those that it accepts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<DeadFilter>,
    /// All of them.
    pub all: bool,
    /// Where to go on, as the answer before said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// What came of a selection, as far as one request went.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct DeadOutcome {
    /// Letters that were requeued or purged.
    pub done: u64,
    /// Items whose failures were taken back.
    pub healed: u64,
    /// Letters that were not, and why.
    pub refused: Vec<Refused>,
    /// Give it as `cursor` to go on; absent when all were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A letter that stays as it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refused {
    /// Its id.
    pub id: String,
    /// Why.
    pub reason: String,
}
