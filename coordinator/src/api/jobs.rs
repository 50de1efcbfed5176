//! Jobs of a submission, with their failed attempts.

use std::fmt;

use common::{
    ids::SubmissionId,
    store::{JobState, SubmissionKind},
};
use serde::{Deserialize, Serialize};

/// State of a job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStage {
    /// Not published yet.
    Unpublished,
    /// Published, but not received by a worker yet.
    Queued,
    /// Unfinished when its submission was cancelled; workers drop it.
    Cancelled,
    /// Received by a worker at least once, which recorded its state.
    #[serde(untagged)]
    Received(JobState),
}

impl fmt::Display for JobStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// One job, as `GET /v1/submissions/{id}/jobs` shows it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct JobView {
    /// The job's name within its submission.
    pub job: String,
    pub submission: SubmissionId,
    pub kind: SubmissionKind,
    pub state: JobStage,
    /// Number of items; absent for a training job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<u32>,
    /// Number of times an operator requeued it.
    #[serde(default)]
    pub generation: u32,
    /// Number of workers that died while the job was in flight there.
    pub crashes: u32,
    /// Present while the job is snoozed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snoozed: Option<SnoozeView>,
    /// Errors of failed attempts, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempt_errors: Vec<AttemptErrorView>,
    /// The worker of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Seconds since the job's last heartbeat, or since its attempt ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_seconds_ago: Option<f64>,
}

/// Why a job is snoozed; a snooze does not count as an attempt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SnoozeView {
    /// Earliest time of the next attempt, in Unix milliseconds.
    pub until_ms: u64,
    pub reason: String,
}

/// One failed attempt at a job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AttemptErrorView {
    /// When the attempt failed, in Unix milliseconds.
    pub at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    pub error: String,
}
