//! The system as a whole.

use common::store::{PausedSource, QuotaUse, WorkerView};
use serde::{Deserialize, Serialize};

use super::SubmissionView;

/// Answer of `GET /v1/workers`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WorkersView {
    /// The workers, oldest first.
    pub workers: Vec<WorkerView>,
}

/// Answer of `GET /v1/status`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StatusView {
    /// Version of the coordinator.
    pub version: String,
    /// Its workers.
    pub workers: Vec<WorkerView>,
    /// Jobs waiting, by queue.
    pub queues: Vec<QueueView>,
    /// Dead letters on record.
    pub dead_letters: u64,
    /// Hosts that crawls leave alone for a while.
    #[serde(default)]
    pub paused_sources: Vec<PausedSource>,
    /// What keys of the Data API have spent today.
    #[serde(default)]
    pub quotas: Vec<QuotaUse>,
    /// The newest submissions and runs.
    pub submissions: Vec<SubmissionView>,
}

/// One queue's backlog.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QueueView {
    /// Its name.
    pub queue: String,
    /// Jobs no worker holds yet; absent when the queue does not exist yet.
    pub ready: Option<u32>,
}

/// A space of embeddings: a line of `GET /v1/spaces`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SpaceView {
    /// Its name.
    pub space: String,
    /// Embeddings in it.
    pub embeddings: u64,
    /// Live workers that embed into it.
    pub workers: u64,
    /// Who registered it first.
    pub registered: String,
}

/// Answer of `GET /v1/doctor`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DoctorView {
    /// What was looked at.
    pub checks: Vec<DoctorCheck>,
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DoctorCheck {
    /// What.
    pub name: String,
    /// What came of it.
    pub verdict: Verdict,
    /// What was found, and what to do about it.
    pub detail: String,
}

/// What came of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, but something may be lost or slow.
    Doubtful,
    /// It does not work.
    Bad,
}

impl DoctorCheck {
    /// Makes a check's outcome.
    pub fn new(name: &str, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), verdict, detail: detail.into() }
    }
}
