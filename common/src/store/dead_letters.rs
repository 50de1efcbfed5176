//! Dead letters: a record of every discarded job, and why.
//!
//! Owns the records and their order. The items' failures are applied by [`Store::finish_job`], before the
//! record's message is acknowledged.

use std::sync::LazyLock;

use redis::Script;
use serde::{Deserialize, Serialize};

use super::{AttemptError, Store, StoreError};
use crate::job::discard::DiscardReason;

static FORGET: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/delete_dead_letter.lua")));
static RECORD: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/record_dead_letter.lua")));

/// A discarded job.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Job id, or what stood in its place.
    pub id: String,
    /// Submission id, or what stood in its place.
    pub submission: Option<String>,
    /// What singles the job out within its submission; nothing when it is no job.
    #[serde(default)]
    pub job: Option<String>,
    /// Message type, such as `embed.v1`.
    pub message_type: Option<String>,
    /// Why it was discarded.
    pub reason: DiscardReason,
    /// The error behind the reason.
    pub error: String,
    /// Attempts made.
    pub attempts: u32,
    /// How often an operator had requeued it.
    #[serde(default)]
    pub generation: u32,
    /// What went wrong before, newest last.
    #[serde(default)]
    pub history: Vec<AttemptError>,
    /// Who discarded it.
    pub worker: Option<String>,
    /// The queue it came from.
    pub origin: Option<String>,
    /// Its body, as far as it is text.
    pub body: String,
    /// When it was recorded, in Redis's time.
    pub recorded_ms: u64,
}

/// A place in the order of dead letters: when, then which.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DeadLetterCursor {
    /// When it was recorded, in Redis's time.
    pub recorded_ms: u64,
    /// Its id.
    pub id: String,
}

impl Store {
    /// Records a dead letter under its id, in place of an older one.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn put_dead_letter(&self, letter: &DeadLetter) -> Result<(), StoreError> {
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

    /// Returns how many dead letters are recorded.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn dead_letters(&self) -> Result<u64, StoreError> {
        Ok(redis::cmd("HLEN").arg(self.keys.dead_letters()).query_async(&mut self.connection.clone()).await?)
    }

    /// Returns the dead letter recorded under `id`.
    ///
    /// # Errors
    /// When Redis does not serve or the record is not one.
    pub async fn dead_letter(&self, id: &str) -> Result<Option<DeadLetter>, StoreError> {
        let key = self.keys.dead_letters();
        let mut command = redis::cmd("HGET");
        command.arg(&key).arg(id);
        let json: Option<String> = command.query_async(&mut self.connection.clone()).await?;
        json.map(|json| serde_json::from_str(&json).map_err(|error| StoreError::corrupt(&key, &error)))
            .transpose()
    }

    /// Returns up to `limit` dead letters after `after`, oldest first, and where the next page begins.
    ///
    /// # Errors
    /// When Redis does not serve or a record is not one.
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
                .arg(after.map_or(0, |place| place.recorded_ms))
                .arg("+inf");
            page.arg("BYSCORE").arg("LIMIT").arg(offset).arg(limit).arg("WITHSCORES");
            let places: Vec<(String, f64)> = page.query_async(&mut connection).await?;
            if places.is_empty() {
                return Ok((letters, None));
            }
            offset += places.len();
            for (id, score) in places {
                let place = DeadLetterCursor { recorded_ms: score as u64, id };
                if after.is_some_and(|after| place <= *after) {
                    continue;
                }
                let mut command = redis::cmd("HGET");
                command.arg(&key).arg(&place.id);
                let json: Option<String> = command.query_async(&mut connection).await?;
                let Some(json) = json else { continue };
                letters.push(serde_json::from_str(&json).map_err(|error| StoreError::corrupt(&key, &error))?);
                if letters.len() == limit {
                    return Ok((letters, Some(place)));
                }
            }
        }
    }

    /// Forgets the dead letter at `place`; one that was recorded under its id since stays. Returns whether it
    /// was there.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn remove_dead_letter(&self, place: &DeadLetterCursor) -> Result<bool, StoreError> {
        Ok(FORGET
            .key(self.keys.dead_letters())
            .key(self.keys.dead_letter_order())
            .arg(&place.id)
            .arg(place.recorded_ms)
            .invoke_async(&mut self.connection.clone())
            .await?)
    }
}
