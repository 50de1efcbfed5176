//! The register of workers: who lives, what they consume and what they compute with.
//!
//! Owns the heartbeats; a worker that stopped beating is shown as lost for a day, then forgotten.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::{
    ids::{BootId, Fingerprint, Space},
    jobs::Kind,
};

/// Silence after which a worker counts as lost.
const LOST_AFTER_MS: u64 = 15_000;
/// Silence after which it is forgotten.
const FORGOTTEN_AFTER_MS: u64 = 24 * 3_600_000;

/// What a worker says of itself with every heartbeat.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WorkerRecord {
    /// This life of the process.
    pub boot: BootId,
    /// Host and process id, for people.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// Kinds it consumes.
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
    /// Its last heartbeat, in Redis's time.
    #[serde(default)]
    pub seen_ms: u64,
}

/// A worker as the register shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WorkerView {
    /// What it said last.
    #[serde(flatten)]
    pub record: WorkerRecord,
    /// `live` or `lost`.
    pub state: String,
}

impl WorkerView {
    /// Whether its heartbeat is recent.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state == "live"
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

    /// Returns the workers, oldest first, and forgets those silent for a day.
    ///
    /// # Errors
    /// When Redis does not serve or a record is not one.
    pub async fn workers(&self) -> Result<Vec<WorkerView>, StoreError> {
        let key = self.keys.workers();
        let now_ms = self.now_ms().await?;
        let raw: HashMap<String, String> =
            redis::cmd("HGETALL").arg(&key).query_async(&mut self.connection.clone()).await?;
        let mut views = Vec::with_capacity(raw.len());
        for json in raw.into_values() {
            let record: WorkerRecord =
                serde_json::from_str(&json).map_err(|error| StoreError::corrupt(&key, &error))?;
            let silent_ms = now_ms.saturating_sub(record.seen_ms);
            if silent_ms > FORGOTTEN_AFTER_MS {
                self.sign_off(record.boot).await?;
                continue;
            }
            let state = if silent_ms > LOST_AFTER_MS { "lost" } else { "live" };
            views.push(WorkerView { record, state: state.to_owned() });
        }
        views.sort_by_key(|view| (view.record.started_ms, view.record.boot));
        Ok(views)
    }
}
