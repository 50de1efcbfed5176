//! Dead letters: a record of every discarded job and the reason.
//!
//! Owns the records and their order. [`Store::finish_job`] marks the job's unresolved items as failed, before the
//! message is acknowledged.

use std::sync::LazyLock;

use redis::Script;
use serde::{Deserialize, Serialize};

use super::{AttemptError, Store, StoreError};
use crate::job::discard::DiscardReason;

static DELETE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/delete_dead_letter.lua")));
static RECORD: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/record_dead_letter.lua")));

/// A discarded job.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Job ID, or the malformed text in its place.
    pub id: String,
    /// Submission ID, or the malformed text in its place.
    pub submission: Option<String>,
    /// The job's name within its submission; `None` if the message is not a valid job.
    #[serde(default)]
    pub job: Option<String>,
    /// Message type, such as `embed.v1`.
    pub message_type: Option<String>,
    pub reason: DiscardReason,
    /// The last error.
    pub error: String,
    pub attempts: u32,
    /// How often it had been requeued.
    #[serde(default)]
    pub generation: u32,
    /// Errors of earlier attempts, newest last.
    #[serde(default)]
    pub history: Vec<AttemptError>,
    /// The worker that discarded it.
    pub worker: Option<String>,
    /// The queue that it came from.
    pub origin: Option<String>,
    /// The message's body, as text.
    pub body: String,
    pub recorded_ms: u64,
}

/// A position in the order of dead letters: by time, then by ID.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DeadLetterCursor {
    pub recorded_ms: u64,
    pub id: String,
}

impl Store {
    /// Records a dead letter. Replaces an older one with the same ID.
    pub async fn record_dead_letter(&self, letter: &DeadLetter) -> Result<(), StoreError> {
        let letter = DeadLetter { recorded_ms: self.now_ms().await?, ..letter.clone() };
        let json = serde_json::to_string(&letter).expect("a dead letter is plain data");
        Ok(RECORD
            .key(self.keys.dead_letters())
            .key(self.keys.dead_letter_order())
            .arg(&letter.id)
            .arg(json)
            .arg(letter.recorded_ms)
            .invoke_async(&mut self.connection.clone())
            .await?)
    }

    pub async fn dead_letter_count(&self) -> Result<u64, StoreError> {
        Ok(redis::cmd("HLEN").arg(self.keys.dead_letters()).query_async(&mut self.connection.clone()).await?)
    }

    pub async fn dead_letter(&self, id: &str) -> Result<Option<DeadLetter>, StoreError> {
        let key = self.keys.dead_letters();
        let mut command = redis::cmd("HGET");
        command.arg(&key).arg(id);
        let json: Option<String> = command.query_async(&mut self.connection.clone()).await?;
        json.map(|json| serde_json::from_str(&json).map_err(|error| StoreError::corrupt(&key, &error)))
            .transpose()
    }

    /// Returns up to `limit` dead letters after `after`, oldest first, and the cursor of the next page if there may
    /// be one.
    pub async fn dead_letter_page(
        &self,
        after: Option<&DeadLetterCursor>,
        limit: usize,
    ) -> Result<(Vec<DeadLetter>, Option<DeadLetterCursor>), StoreError> {
        let (key, mut connection) = (self.keys.dead_letters(), self.connection.clone());
        let mut letters = Vec::new();
        let mut offset = 0;
        loop {
            let mut page = redis::cmd("ZRANGE");
            page.arg(self.keys.dead_letter_order())
                .arg(after.map_or(0, |cursor| cursor.recorded_ms))
                .arg("+inf");
            page.arg("BYSCORE").arg("LIMIT").arg(offset).arg(limit).arg("WITHSCORES");
            let entries: Vec<(String, f64)> = page.query_async(&mut connection).await?;
            if entries.is_empty() {
                return Ok((letters, None));
            }
            offset += entries.len();
            for (id, score) in entries {
                let cursor = DeadLetterCursor { recorded_ms: score as u64, id };
                if after.is_some_and(|after| cursor <= *after) {
                    continue;
                }
                let mut command = redis::cmd("HGET");
                command.arg(&key).arg(&cursor.id);
                let json: Option<String> = command.query_async(&mut connection).await?;
                let Some(json) = json else { continue };
                letters.push(serde_json::from_str(&json).map_err(|error| StoreError::corrupt(&key, &error))?);
                if letters.len() == limit {
                    return Ok((letters, Some(cursor)));
                }
            }
        }
    }

    /// Deletes the dead letter at `cursor`, unless a newer one has replaced it. Returns whether it was deleted.
    pub async fn delete_dead_letter(&self, cursor: &DeadLetterCursor) -> Result<bool, StoreError> {
        Ok(DELETE
            .key(self.keys.dead_letters())
            .key(self.keys.dead_letter_order())
            .arg(&cursor.id)
            .arg(cursor.recorded_ms)
            .invoke_async(&mut self.connection.clone())
            .await?)
    }
}
