//! Marks: what the store knows of a job that a worker has received.

use std::{collections::HashMap, fmt};

use serde::{Deserialize, Serialize};

use super::snooze::Snooze;
use crate::{
    ids::{InstanceId, SubmissionId},
    store::{Store, StoreError},
};

/// Where a job is that a worker has received at least once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// A worker works on it.
    Started,
    /// A worker holds it until it can run alone.
    Waiting,
    /// It waits for a source to be available again.
    Snoozed,
    /// It waits for its next attempt.
    Retryable,
    /// A worker gave it back when it shut down.
    Available,
    /// An operator gave it another chance.
    Requeued,
    /// It is being discarded, since every worker that ran it alone died.
    Poisoned,
    /// A worker resolved its items.
    Done,
    /// It was discarded.
    Discarded,
    /// A state of another version.
    #[serde(untagged)]
    Other(String),
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// One job's mark, as the rescuer reads it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct JobStatus {
    /// Where the job is.
    pub state: JobState,
    /// Generation of the mark.
    #[serde(default)]
    pub generation: u32,
    /// When a worker last showed that it holds the job, in Redis's time.
    #[serde(default)]
    pub heartbeat_ms: u64,
    /// Until when it rests between two attempts, likewise.
    #[serde(default)]
    pub not_before_ms: u64,
    /// The process that started it last.
    #[serde(default)]
    pub instance: Option<InstanceId>,
    /// The name of that process.
    #[serde(default)]
    pub worker: Option<String>,
    /// Processes that died while they held it.
    #[serde(default)]
    pub crashes: u32,
    /// Those of them that held nothing else.
    #[serde(default)]
    pub exclusive_crashes: u32,
    /// Until when it rests, while it is paused.
    #[serde(default)]
    pub snoozed: Option<Snooze>,
    /// What went wrong so far, newest last; the oldest are forgotten.
    #[serde(default)]
    pub history: Vec<AttemptError>,
}

/// One attempt at a job that came to nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AttemptError {
    /// When, in Redis's time.
    pub at_ms: u64,
    /// The worker that held the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// What went wrong.
    pub error: String,
}

impl JobStatus {
    /// Makes the mark of a job in a state that nothing has happened to.
    #[must_use]
    pub fn new(state: JobState) -> Self {
        Self {
            state,
            generation: 0,
            heartbeat_ms: 0,
            not_before_ms: 0,
            instance: None,
            worker: None,
            crashes: 0,
            exclusive_crashes: 0,
            snoozed: None,
            history: Vec::new(),
        }
    }

    /// Whether nothing more will happen to the job.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.state, JobState::Done | JobState::Discarded)
    }
}

impl Store {
    /// Returns the mark of one job; nothing when it was never started.
    ///
    /// # Errors
    /// When Redis does not serve or the mark is not one.
    pub async fn job_status(
        &self,
        submission: SubmissionId,
        name: &str,
    ) -> Result<Option<JobStatus>, StoreError> {
        let key = self.keys.of_submission(submission, "jobs");
        let mut command = redis::cmd("HGET");
        command.arg(&key).arg(name);
        let json: Option<String> = command.query_async(&mut self.connection.clone()).await?;
        json.map(|json| serde_json::from_str(&json).map_err(|error| StoreError::corrupt(&key, &error)))
            .transpose()
    }

    /// Returns the marks of a submission's jobs, by name. A job without a mark was never started.
    ///
    /// # Errors
    /// When Redis does not serve or a mark is not one.
    pub async fn job_statuses(
        &self,
        submission: SubmissionId,
    ) -> Result<HashMap<String, JobStatus>, StoreError> {
        let key = self.keys.of_submission(submission, "jobs");
        let raw: HashMap<String, String> =
            redis::cmd("HGETALL").arg(&key).query_async(&mut self.connection.clone()).await?;
        raw.into_iter()
            .map(|(name, json)| {
                let status =
                    serde_json::from_str(&json).map_err(|error| StoreError::corrupt(&key, &error))?;
                Ok((name, status))
            })
            .collect()
    }
}
