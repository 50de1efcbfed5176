//! What hosts say in their `robots.txt`, kept for the whole fleet.
//!
//! Owns the copies and who fetches one; does not own what the rules mean.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Store, StoreError};

/// How long one worker may take to fetch a file before another tries.
const CLAIM: Duration = Duration::from_secs(60);

/// What asking for a `robots.txt` yielded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RobotsFile {
    /// Its text.
    Rules(String),
    /// There is none: everything is allowed.
    None,
    /// The host does not say now, for this reason: nothing is allowed.
    Unreachable(String),
}

impl Store {
    /// Returns the copy of an origin's file, unless it is too old.
    ///
    /// # Errors
    /// When Redis does not serve or the copy is not one.
    pub async fn robots(&self, origin: &str) -> Result<Option<RobotsFile>, StoreError> {
        let key = self.keys.robots(origin);
        let json: Option<String> =
            redis::cmd("GET").arg(&key).query_async(&mut self.connection.clone()).await?;
        let parse = |json: String| serde_json::from_str(&json);
        json.map(parse).transpose().map_err(|error| StoreError::corrupt(&key, &error))
    }

    /// Claims the fetching of an origin's file for a minute. Returns whether nobody else is at it.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn claim_robots(&self, origin: &str) -> Result<bool, StoreError> {
        let mut command = redis::cmd("SET");
        command.arg(self.keys.robots_claim(origin)).arg(1).arg("NX").arg("PX").arg(CLAIM.as_millis() as u64);
        let claimed: Option<String> = command.query_async(&mut self.connection.clone()).await?;
        Ok(claimed.is_some())
    }

    /// Keeps a copy of an origin's file for `ttl`, and gives the claim back.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn put_robots(&self, origin: &str, file: &RobotsFile, ttl: Duration) -> Result<(), StoreError> {
        let json = serde_json::to_string(file).expect("a copy is plain data");
        let mut command = redis::cmd("SET");
        command.arg(self.keys.robots(origin)).arg(json).arg("PX").arg(ttl.as_millis() as u64);
        command.query_async::<()>(&mut self.connection.clone()).await?;
        self.give_back_robots(origin).await
    }

    /// Gives the claim of an origin's file back.
    ///
    /// # Errors
    /// When Redis does not serve; the claim runs out by itself.
    pub async fn give_back_robots(&self, origin: &str) -> Result<(), StoreError> {
        let mut command = redis::cmd("DEL");
        command.arg(self.keys.robots_claim(origin));
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }
}
