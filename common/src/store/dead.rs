//! Dead letters: a record of every discarded job, and why.
//!
//! Owns the record. The items' failures are applied by [`Store::finish_job`], before the record's
//! message is acknowledged.

use serde::{Deserialize, Serialize};

use super::{Store, StoreError};

/// A discarded job.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Job id, or what stood in its place.
    pub id: String,
    /// Submission id, or what stood in its place.
    pub submission: Option<String>,
    /// Message type, such as `embed.v1`.
    pub message_type: Option<String>,
    /// Why it was discarded: `poison`, `attempts`, `rejected`, `delivery_limit`, …
    pub reason: String,
    /// The error behind the reason.
    pub error: String,
    /// Attempts made.
    pub attempts: u32,
    /// Who discarded it.
    pub worker: Option<String>,
    /// The queue it came from.
    pub origin: Option<String>,
    /// Its body, as far as it is text.
    pub body: String,
    /// When it was recorded, in Redis's time.
    pub recorded_ms: u64,
}

impl Store {
    /// Records a dead letter under its id.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn put_dead_letter(&self, letter: &DeadLetter) -> Result<(), StoreError> {
        let letter = DeadLetter { recorded_ms: self.now_ms().await?, ..letter.clone() };
        let json = serde_json::to_string(&letter).expect("a dead letter is plain data");
        let mut command = redis::cmd("HSET");
        command.arg(self.keys.dead()).arg(&letter.id).arg(json);
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }

    /// Returns how many dead letters are recorded.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn dead_letters(&self) -> Result<u64, StoreError> {
        Ok(redis::cmd("HLEN").arg(self.keys.dead()).query_async(&mut self.connection.clone()).await?)
    }

    /// Returns the dead letter recorded under `id`.
    ///
    /// # Errors
    /// When Redis does not serve or the record is not one.
    pub async fn dead_letter(&self, id: &str) -> Result<Option<DeadLetter>, StoreError> {
        let key = self.keys.dead();
        let mut command = redis::cmd("HGET");
        command.arg(&key).arg(id);
        let json: Option<String> = command.query_async(&mut self.connection.clone()).await?;
        json.map(|json| serde_json::from_str(&json).map_err(|error| StoreError::corrupt(&key, &error)))
            .transpose()
    }
}
