//! The register of workers: who lives, what they consume and what they compute with.
//!
//! Owns the heartbeats; a worker that stopped beating is shown as lost for a day, then forgotten.

use std::{collections::HashMap, fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize};

use super::{Store, StoreError};
use crate::{embedding::Space, ids::BootId, job::kind::Kind, training::protocol::Fingerprint};

/// Silence after which a worker is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What a worker says of itself with every heartbeat. It grows additively: workers and coordinators of
/// neighbouring versions read each other's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WorkerRecord {
    /// This life of the process.
    pub boot: BootId,
    /// Host and process id, for people.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// Kinds it consumes; those that only a later version knows are passed over.
    #[serde(deserialize_with = "known_kinds")]
    pub kinds: Vec<Kind>,
    /// Where its model runs: `cpu`, `cuda:0`; nothing without a model.
    pub device: Option<String>,
    /// Compute threads of its model.
    pub threads: Option<usize>,
    /// Where its embeddings belong; nothing without a model.
    pub space: Option<Space>,
    /// Arithmetic it computes gradients with.
    pub fingerprints: Vec<Fingerprint>,
    /// When it started, in Redis's time.
    pub started_ms: u64,
    /// Whether it finishes what it holds and takes nothing more.
    #[serde(default)]
    pub draining: bool,
    /// Jobs it holds; absent from a worker that does not say.
    #[serde(default)]
    pub jobs_held: Option<u64>,
    /// Jobs it has finished with effect; absent from a worker that does not say.
    #[serde(default)]
    pub jobs_finished: Option<u64>,
    /// Its last heartbeat, in Redis's time.
    #[serde(default)]
    pub seen_ms: u64,
}

impl WorkerRecord {
    /// Silence after which a worker counts as lost: three heartbeats.
    pub const LOST_AFTER: Duration = Self::BEAT_EVERY.saturating_mul(3);
    /// How often a worker beats.
    pub const BEAT_EVERY: Duration = Duration::from_secs(5);

    /// Whether it consumes jobs of `kind`.
    #[must_use]
    pub fn consumes(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }
}

fn known_kinds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Kind>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

/// A worker as the register shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RegisteredWorker {
    /// What it said last.
    #[serde(flatten)]
    pub record: WorkerRecord,
    /// Whether it lives and takes jobs.
    pub state: WorkerState,
}

/// Whether a worker lives and takes jobs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// Its heartbeat is recent and it takes jobs.
    Live,
    /// It finishes what it holds and takes nothing more.
    Draining,
    /// Its heartbeat stopped without a farewell.
    Lost,
    /// A state of another version.
    #[serde(untagged)]
    Other(String),
}

impl fmt::Display for WorkerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl RegisteredWorker {
    /// Whether its heartbeat is recent and it takes jobs.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state == WorkerState::Live
    }

    /// Whether its heartbeat stopped without a farewell.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.state == WorkerState::Lost
    }
}

impl Store {
    /// Records a heartbeat.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn beat(&self, record: &WorkerRecord) -> Result<(), StoreError> {
        let record = WorkerRecord { seen_ms: self.now_ms().await?, ..record.clone() };
        let json = serde_json::to_string(&record).expect("a record is plain data");
        let mut command = redis::cmd("HSET");
        command.arg(self.keys.workers()).arg(record.boot.to_string()).arg(json);
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }

    /// Takes a worker that ends on purpose out of the register.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn sign_off(&self, boot: BootId) -> Result<(), StoreError> {
        let mut command = redis::cmd("HDEL");
        command.arg(self.keys.workers()).arg(boot.to_string());
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }

    /// Returns the workers, oldest first, and forgets those silent for a day. A record that is none is left out.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn workers(&self) -> Result<Vec<RegisteredWorker>, StoreError> {
        let key = self.keys.workers();
        let now_ms = self.now_ms().await?;
        let raw: HashMap<String, String> =
            redis::cmd("HGETALL").arg(&key).query_async(&mut self.connection.clone()).await?;
        let mut views = Vec::with_capacity(raw.len());
        for (boot, json) in raw {
            let record: WorkerRecord = match serde_json::from_str(&json) {
                Ok(record) => record,
                Err(error) => {
                    tracing::debug!(boot, %error, "the record of a worker cannot be read");
                    continue;
                }
            };
            let silence = Duration::from_millis(now_ms.saturating_sub(record.seen_ms));
            if silence > FORGOTTEN_AFTER {
                self.sign_off(record.boot).await?;
                continue;
            }
            views.push(RegisteredWorker { state: state(&record, silence), record });
        }
        views.sort_by_key(|view| (view.record.started_ms, view.record.boot));
        Ok(views)
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

    const OLDER: &str = r#"{"boot": "6f8f4c59-9c0f-4b8e-9b44-9d1f5b2a7c11", "name": "pod:1", "version": "0.1.0",
        "kinds": ["embed"], "device": "cpu", "threads": 1, "space": null, "fingerprints": [], "started_ms": 5}"#;

    #[test]
    fn older_and_newer_workers_are_read() {
        let older: WorkerRecord = serde_json::from_str(OLDER).unwrap();
        assert_eq!((older.draining, older.jobs_held, older.jobs_finished), (false, None, None));
        let newer = OLDER.replacen('{', r#"{"draining": true, "jobs_held": 3, "mood": "content", "#, 1);
        let newer = newer.replace(r#"["embed"]"#, r#"["embed", "dance"]"#);
        let newer: WorkerRecord = serde_json::from_str(&newer).unwrap();
        assert_eq!((newer.draining, newer.jobs_held), (true, Some(3)));
        assert_eq!(newer.kinds, [Kind::Embed]);
        assert!(newer.consumes(Kind::Embed) && !newer.consumes(Kind::Crawl));
    }

    #[test]
    fn silence_outweighs_what_was_said_last() {
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
