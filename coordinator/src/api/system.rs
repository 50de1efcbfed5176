//! Workers, queues, back-offs, quotas, embedding spaces and health checks.

use common::{
    embedding::{DeviceClass, Space},
    ids::InstanceId,
    store::WorkerState,
    training::protocol::Fingerprint,
};
use serde::{Deserialize, Serialize};

use super::SubmissionView;

/// Response of `GET /v1/workers`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WorkersView {
    /// Oldest first.
    pub workers: Vec<WorkerView>,
}

/// A stage of a worker's pipeline, over the last 5 seconds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StageView {
    /// `fetch`, `decode`, `model` or `store`.
    pub stage: String,
    /// Images that wait for it or are in it.
    pub depth: u64,
    /// Share of its capacity that was busy, from 0 to 1: decoder threads, or the time in which the others did something.
    pub busy: f64,
}

/// A worker, as its last heartbeat described it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WorkerView {
    pub instance: InstanceId,
    /// Host name and process ID.
    pub name: String,
    pub version: String,
    /// Kinds of job it consumes, such as `embed`.
    pub kinds: Vec<String>,
    /// Device of the model: `cpu`, `cuda:0`; absent without a model.
    pub device: Option<String>,
    /// Class of that device, such as `avx512-bf16` or `nvidia-h100-80gb-hbm3`: kernels may differ in the last bits between
    /// classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_class: Option<DeviceClass>,
    /// Compute threads of the model.
    pub threads: Option<usize>,
    /// Embedding space of the model; absent without a model.
    pub space: Option<Space>,
    /// Arithmetic of its gradients: workers with an equal fingerprint compute bit-identical ones.
    pub fingerprints: Vec<Fingerprint>,
    /// Start of the process, in Unix milliseconds.
    pub started_ms: u64,
    /// Whether it is shutting down: it finishes the jobs in flight and accepts no others.
    #[serde(default)]
    pub draining: bool,
    /// Absent if the worker does not report it.
    #[serde(default)]
    pub jobs_in_flight: Option<u64>,
    /// Jobs whose results took effect; absent if the worker does not report it.
    #[serde(default)]
    pub jobs_finished: Option<u64>,
    /// The stages that images pass, in their order; empty without a model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageView>,
    /// Time of the last heartbeat, in Unix milliseconds.
    #[serde(default)]
    pub last_heartbeat_ms: u64,
    /// `live`, `draining` or `lost`.
    pub state: WorkerState,
}

impl WorkerView {
    /// Returns whether heartbeats stopped without a clean shutdown.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.state == WorkerState::Lost
    }
}

/// A host that crawls currently send no requests to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HostBackoffView {
    pub host: String,
    /// Which requests wait, if not all to the host: their kind and base URL, `image https://mirror.example/`, of crawls
    /// that set the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    pub reason: String,
    /// The worker whose request was blocked.
    pub reported_by: String,
    /// Start, in Unix milliseconds.
    pub since_ms: u64,
    /// End, in Unix milliseconds. After it, one probe request decides whether the back-off ends.
    pub until_ms: u64,
    /// Whether `until_ms` has passed and the probe has not succeeded yet.
    pub probing: bool,
}

/// Today's quota use of one Data API key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QuotaView {
    #[serde(default)]
    pub key_hash: String,
    /// `YYYY-MM-DD`.
    pub day: String,
    /// Quota units used.
    pub used: u64,
    /// Quota units per day.
    pub limit: u64,
    /// When the quota resets, in Unix milliseconds.
    pub resets_at_ms: u64,
    /// Whether the Data API rejects the key as over quota; a request probes it again within an hour.
    pub refused: bool,
}

/// Response of `GET /v1/status`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StatusView {
    /// Version of the coordinator.
    pub version: String,
    pub workers: Vec<WorkerView>,
    pub queues: Vec<QueueView>,
    /// Whether the coordinator is connected to RabbitMQ.
    #[serde(default)]
    pub broker_connected: bool,
    /// Number of dead letters.
    pub dead_letters: u64,
    #[serde(default)]
    pub host_backoffs: Vec<HostBackoffView>,
    #[serde(default)]
    pub quotas: Vec<QuotaView>,
    /// The oldest unfinished submissions whose jobs no live worker can run, at most 20.
    #[serde(default)]
    pub waiting: Vec<SubmissionView>,
    /// The newest submissions and runs.
    pub submissions: Vec<SubmissionView>,
}

/// One queue's backlog.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QueueView {
    pub queue: String,
    /// Jobs ready for delivery; absent if the queue does not exist yet, or RabbitMQ is unavailable.
    pub ready: Option<u32>,
}

/// An embedding space: a line of `GET /v1/spaces`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SpaceView {
    pub space: String,
    /// Number of embeddings.
    pub embeddings: u64,
    /// Live workers whose model produces this space.
    pub workers: u64,
    /// The worker that registered the space.
    pub registered_by: String,
}

/// Query of `DELETE /v1/spaces/{name}`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropParams {
    /// Whether to drop the space even if live workers use it.
    #[serde(default)]
    pub force: bool,
}

/// Response of `GET /v1/doctor`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DoctorView {
    pub checks: Vec<DoctorCheck>,
}

/// Result of one check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DoctorCheck {
    pub name: String,
    pub status: CheckStatus,
    /// What was found, and what to do about a problem.
    pub detail: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckStatus {
    Ok,
    /// Works, but may be slow or lose data.
    Warning,
    /// Does not work.
    Error,
}

impl DoctorCheck {
    pub fn new(name: &str, status: CheckStatus, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), status, detail: detail.into() }
    }
}
