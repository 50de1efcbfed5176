//! The register of workers: what each consumes and computes with, and its last heartbeat.
//!
//! A worker without recent heartbeats is listed as lost for a day, then removed.

use std::{collections::HashMap, fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize};

use super::{Store, StoreError};
use crate::{
    embedding::{DeviceClass, Space},
    ids::InstanceId,
    job::kind::Kind,
    training::protocol::Fingerprint,
};

/// Time since the last heartbeat after which a worker is removed.
const REMOVED_AFTER: Duration = Duration::from_secs(24 * 3600);

/// The dataset roots and the artifacts folder of a process, as texts to compare.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WorkerPlaces {
    pub dataset_roots: String,
    pub artifacts: String,
}

/// A stage of a worker's pipeline, over the last interval of heartbeats.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StageRecord {
    /// `fetch`, `decode`, `model` or `store`.
    pub stage: String,
    /// Images that wait for it or are in it.
    pub depth: u64,
    /// Share of its capacity that was busy, from 0 to 1.
    pub busy: f64,
}

/// The contents of a heartbeat. Changes are additive: workers and coordinators of neighbouring versions read each
/// other's records.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WorkerRecord {
    pub instance: InstanceId,
    /// Display name: host and process ID.
    pub name: String,
    pub version: String,
    /// Kinds it consumes. Kinds unknown to this version are ignored.
    #[serde(deserialize_with = "known_kinds")]
    pub kinds: Vec<Kind>,
    /// Device of its model, `cpu` or `cuda:0`; `None` without a model.
    pub device: Option<String>,
    /// Class of that device; `None` without a model, or if its version does not report it.
    #[serde(default)]
    pub device_class: Option<DeviceClass>,
    /// Compute threads of its model; `None` without a model.
    pub threads: Option<usize>,
    /// Space of its embeddings; `None` without a model.
    pub space: Option<Space>,
    /// The spaces whose queues it consumes: that one, and that of its device class. Empty if its version has one queue for
    /// all spaces.
    #[serde(default)]
    pub spaces: Vec<Space>,
    /// Whether its model has random weights, which are only for a first look.
    #[serde(default)]
    pub random_weights: bool,
    /// Where it may open datasets and the artifacts; `None` if its version does not report it.
    #[serde(default)]
    pub places: Option<WorkerPlaces>,
    /// Whether it reads the items of a job from a part of a file; earlier versions read the whole file.
    #[serde(default)]
    pub reads_ranges: bool,
    /// Fingerprints of the gradients it can compute.
    pub fingerprints: Vec<Fingerprint>,
    pub started_ms: u64,
    /// Whether it takes no more jobs and finishes those in flight.
    #[serde(default)]
    pub draining: bool,
    /// `None` if the worker's version does not report it.
    #[serde(default)]
    pub jobs_in_flight: Option<u64>,
    /// Jobs whose outcome it applied; `None` if its version does not report it.
    #[serde(default)]
    pub jobs_finished: Option<u64>,
    /// The stages that images pass; empty without a model, or if its version does not report them.
    #[serde(default)]
    pub stages: Vec<StageRecord>,
    /// Time of the last heartbeat.
    #[serde(default)]
    pub seen_ms: u64,
}

impl WorkerRecord {
    /// Time since the last heartbeat after which a worker counts as lost.
    pub const LOST_AFTER: Duration = Self::HEARTBEAT_EVERY.saturating_mul(3);
    /// Interval of a worker's heartbeats.
    pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);

    #[must_use]
    pub fn consumes(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// Whether it consumes jobs of `kind` in `space`.
    #[must_use]
    pub fn serves(&self, kind: Kind, space: &Space) -> bool {
        self.consumes(kind) && self.spaces.contains(space)
    }
}

fn known_kinds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Kind>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RegisteredWorker {
    #[serde(flatten)]
    pub record: WorkerRecord,
    pub state: WorkerState,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// Its heartbeat is recent, and it takes jobs.
    Live,
    /// It takes no more jobs and finishes those in flight.
    Draining,
    /// Its heartbeat stopped without a clean shutdown.
    Lost,
    /// A state of a newer version.
    #[serde(untagged)]
    Other(String),
}

impl fmt::Display for WorkerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl RegisteredWorker {
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state == WorkerState::Live
    }

    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.state == WorkerState::Lost
    }
}

impl Store {
    pub async fn record_heartbeat(&self, record: &WorkerRecord) -> Result<(), StoreError> {
        let record = WorkerRecord { seen_ms: self.now_ms().await?, ..record.clone() };
        let json = serde_json::to_string(&record).expect("a record is plain data");
        let mut command = redis::cmd("HSET");
        command.arg(self.keys.workers()).arg(record.instance.to_string()).arg(json);
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }

    /// Removes a worker after a clean shutdown.
    pub async fn deregister_worker(&self, instance: InstanceId) -> Result<(), StoreError> {
        let mut command = redis::cmd("HDEL");
        command.arg(self.keys.workers()).arg(instance.to_string());
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }

    /// Returns the workers, oldest first, and removes those without a heartbeat for a day. Unreadable records are
    /// skipped.
    pub async fn workers(&self) -> Result<Vec<RegisteredWorker>, StoreError> {
        let key = self.keys.workers();
        let now_ms = self.now_ms().await?;
        let raw: HashMap<String, String> =
            redis::cmd("HGETALL").arg(&key).query_async(&mut self.connection.clone()).await?;
        let mut workers = Vec::with_capacity(raw.len());
        for (instance, json) in raw {
            let record: WorkerRecord = match serde_json::from_str(&json) {
                Ok(record) => record,
                Err(error) => {
                    tracing::debug!(instance, %error, "skipped the unreadable record of a worker");
                    continue;
                }
            };
            let silence = Duration::from_millis(now_ms.saturating_sub(record.seen_ms));
            if silence > REMOVED_AFTER {
                self.deregister_worker(record.instance).await?;
                continue;
            }
            workers.push(RegisteredWorker { state: state(&record, silence), record });
        }
        workers.sort_by_key(|worker| (worker.record.started_ms, worker.record.instance));
        Ok(workers)
    }
}

fn state(record: &WorkerRecord, silence: Duration) -> WorkerState {
    if silence > WorkerRecord::LOST_AFTER {
        WorkerState::Lost
    } else if record.draining {
        WorkerState::Draining
    } else {
        WorkerState::Live
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLDER: &str = r#"{"instance": "6f8f4c59-9c0f-4b8e-9b44-9d1f5b2a7c11", "name": "pod:1", "version": "0.1.0",
        "kinds": ["embed"], "device": "cpu", "threads": 1, "space": null, "fingerprints": [], "started_ms": 5}"#;

    #[test]
    fn older_and_newer_workers_are_read() {
        let older: WorkerRecord = serde_json::from_str(OLDER).unwrap();
        assert_eq!((older.draining, older.jobs_in_flight, older.jobs_finished), (false, None, None));
        assert_eq!((older.device_class, older.spaces), (None, Vec::new()));
        let newer = OLDER.replacen('{', r#"{"draining": true, "jobs_in_flight": 3, "mood": "content", "#, 1);
        let newer = newer.replace(r#"["embed"]"#, r#"["embed", "dance"]"#);
        let newer: WorkerRecord = serde_json::from_str(&newer).unwrap();
        assert_eq!((newer.draining, newer.jobs_in_flight), (true, Some(3)));
        assert_eq!(newer.kinds, [Kind::Embed]);
        assert!(newer.consumes(Kind::Embed) && !newer.consumes(Kind::Crawl));
    }

    #[test]
    fn a_silent_worker_is_lost_even_if_it_was_draining() {
        let record: WorkerRecord = serde_json::from_str(OLDER).unwrap();
        let draining = WorkerRecord { draining: true, ..record.clone() };
        let check = |record: &WorkerRecord, silence: Duration, want: &str| {
            assert_eq!(state(record, silence).to_string(), want);
        };
        check(&record, Duration::ZERO, "live");
        check(&draining, WorkerRecord::LOST_AFTER, "draining");
        check(&draining, WorkerRecord::LOST_AFTER + Duration::from_millis(1), "lost");
    }
}
