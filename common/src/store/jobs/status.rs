//! The record of a job that a worker has received.

use std::{collections::HashMap, fmt};

use serde::{Deserialize, Serialize};

use super::snooze::Snooze;
use crate::{
    ids::{InstanceId, SubmissionId},
    store::{Store, StoreError},
};

/// State of a job that a worker has received at least once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// A worker is running it.
    Started,
    /// A worker will run it exclusively once its other jobs have finished.
    Waiting,
    /// It waits for a host or for its next time slice, without spending an attempt.
    Snoozed,
    /// Its last attempt failed; it waits for the next one.
    Retryable,
    /// A worker gave it back when it shut down, or RabbitMQ dropped its message; it will be delivered again.
    Available,
    /// It was requeued and not started since.
    Requeued,
    /// It reached the crash limit and is about to be discarded.
    Poisoned,
    /// A worker resolved its items.
    Done,
    Discarded,
    /// A state of a newer version.
    #[serde(untagged)]
    Other(String),
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The record of one job.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct JobStatus {
    pub state: JobState,
    #[serde(default)]
    pub generation: u32,
    /// Time of the last change or heartbeat.
    #[serde(default)]
    pub heartbeat_ms: u64,
    /// Earliest time of the next attempt.
    #[serde(default)]
    pub not_before_ms: u64,
    /// The process that last started it.
    #[serde(default)]
    pub instance: Option<InstanceId>,
    /// Display name of that process.
    #[serde(default)]
    pub worker: Option<String>,
    /// Processes that died while it was in flight.
    #[serde(default)]
    pub crashes: u32,
    /// Processes, of these, that had no other job in flight.
    #[serde(default)]
    pub exclusive_crashes: u32,
    #[serde(default)]
    pub snoozed: Option<Snooze>,
    /// Errors of the last 20 failed attempts, newest last.
    #[serde(default)]
    pub history: Vec<AttemptError>,
}

/// The error of one attempt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AttemptError {
    pub at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    pub error: String,
}

impl JobStatus {
    /// Makes a record without history.
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

    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.state, JobState::Done | JobState::Discarded)
    }
}

impl Store {
    /// Returns the record of a job; `None` if it was never started.
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

    /// Returns the job records of a submission, by job name. Jobs that were never started have none.
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
