//! Jobs of a submission, and what befell them.

use std::fmt;

use common::{
    ids::SubmissionId,
    store::{JobState, SubmissionKind},
};
use serde::{Deserialize, Serialize};

/// Where a job is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStage {
    /// It is not published yet.
    Unpublished,
    /// It is published, and no worker has received it.
    Queued,
    /// It has a mark: a worker received it.
    #[serde(untagged)]
    Marked(JobState),
}

impl fmt::Display for JobStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// One job, as `GET /v1/submissions/{id}/jobs` shows it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct JobView {
    /// What singles it out within its submission.
    pub job: String,
    /// The submission.
    pub submission: SubmissionId,
    /// What kind of work it is.
    pub kind: SubmissionKind,
    /// Where it is.
    pub state: JobStage,
    /// Its items; nothing for a training job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<u32>,
    /// How often an operator requeued it.
    #[serde(default)]
    pub generation: u32,
    /// Workers that died while they held it.
    pub crashes: u32,
    /// Why and until when it rests, while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snoozed: Option<SnoozeView>,
    /// What went wrong so far, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<AttemptErrorView>,
    /// The worker that held it last, while it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Seconds since a worker showed that it holds it, or ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_seconds_ago: Option<f64>,
}

/// Why a job is paused, which is no fault of its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SnoozeView {
    /// When it is tried again at the earliest, in milliseconds since 1970.
    pub until_ms: u64,
    /// What it waits for.
    pub reason: String,
}

/// One failed attempt at a job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AttemptErrorView {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The worker that held the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// What went wrong.
    pub error: String,
}
