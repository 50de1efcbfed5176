//! The system as a whole.

use common::{embedding::Space, ids::BootId, store::WorkerState, training::protocol::Fingerprint};
use serde::{Deserialize, Serialize};

use super::SubmissionView;

/// Answer of `GET /v1/workers`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WorkersView {
    /// The workers, oldest first.
    pub workers: Vec<WorkerView>,
}

/// A worker, as it described itself with its last heartbeat.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WorkerView {
    /// This life of the process.
    pub boot: BootId,
    /// Host and process id, for people.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// Kinds of job it consumes, such as `embed`.
    pub kinds: Vec<String>,
    /// Where its model runs: `cpu`, `cuda:0`; absent without a model.
    pub device: Option<String>,
    /// Compute threads of its model.
    pub threads: Option<usize>,
    /// The space of its embeddings; absent without a model.
    pub space: Option<Space>,
    /// Arithmetic it computes gradients with.
    pub fingerprints: Vec<Fingerprint>,
    /// When it started, in milliseconds since 1970.
    pub started_ms: u64,
    /// Whether it finishes what it holds and takes nothing more.
    #[serde(default)]
    pub draining: bool,
    /// Jobs it holds, if it reports them.
    #[serde(default)]
    pub jobs_held: Option<u64>,
    /// Jobs it has finished with effect, if it reports them.
    #[serde(default)]
    pub jobs_finished: Option<u64>,
    /// Its last heartbeat, in milliseconds since 1970.
    #[serde(default)]
    pub seen_ms: u64,
    /// Whether it lives and takes jobs.
    pub state: WorkerState,
}

impl WorkerView {
    /// Whether its heartbeat stopped without a farewell.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.state == WorkerState::Lost
    }
}

/// A host that crawls leave alone for a while.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PausedSourceView {
    /// The host.
    pub host: String,
    /// Why.
    pub reason: String,
    /// The worker whose request found out.
    pub by: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// Until when, likewise. Then one request tries whether it serves again.
    pub until_ms: u64,
    /// Whether that time has come, and no request has succeeded yet.
    pub trying: bool,
}

/// What a key of the Data API has spent today.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QuotaView {
    /// Hash of the key.
    #[serde(default)]
    pub key_hash: String,
    /// The day, as `YYYY-MM-DD`.
    pub day: String,
    /// Units spent.
    pub used: u64,
    /// Units a day.
    pub limit: u64,
    /// When the day ends, in milliseconds since 1970.
    pub resets_at_ms: u64,
    /// Whether the site itself refuses the key; it is asked again within an hour.
    pub refused: bool,
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
    pub paused_sources: Vec<PausedSourceView>,
    /// What keys of the Data API have spent today.
    #[serde(default)]
    pub quotas: Vec<QuotaView>,
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

/// Query of `DELETE /v1/spaces/{name}`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct DropParams {
    /// Whether the space is dropped though workers embed into it.
    #[serde(default)]
    pub force: bool,
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
