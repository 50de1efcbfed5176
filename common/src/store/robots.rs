//! A cache of `robots.txt` files for all workers.
//!
//! Also decides which worker fetches a file. Parsing the rules belongs to the crawler.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Store, StoreError};

/// How long a worker may take to fetch a file before another one tries.
const CLAIM_TTL: Duration = Duration::from_secs(60);

/// The result of fetching a `robots.txt`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RobotsFile {
    Rules(String),
    /// The host has none: everything is allowed.
    None,
    /// It could not be fetched, for this reason: nothing is allowed.
    Unreachable(String),
}

impl Store {
    /// Returns the cached file of an origin; `None` if it expired.
    pub async fn robots(&self, origin: &str) -> Result<Option<RobotsFile>, StoreError> {
        let key = self.keys.robots(origin);
        let json: Option<String> =
            redis::cmd("GET").arg(&key).query_async(&mut self.connection.clone()).await?;
        let parse = |json: String| serde_json::from_str(&json);
        json.map(parse).transpose().map_err(|error| StoreError::corrupt(&key, &error))
    }

    /// Claims fetching an origin's file for a minute. Returns `false` if another worker is fetching it.
    pub async fn claim_robots(&self, origin: &str) -> Result<bool, StoreError> {
        let mut command = redis::cmd("SET");
        command
            .arg(self.keys.robots_claim(origin))
            .arg(1)
            .arg("NX")
            .arg("PX")
            .arg(CLAIM_TTL.as_millis() as u64);
        let claimed: Option<String> = command.query_async(&mut self.connection.clone()).await?;
        Ok(claimed.is_some())
    }

    /// Caches an origin's file for `ttl` and releases the claim.
    pub async fn put_robots(&self, origin: &str, file: &RobotsFile, ttl: Duration) -> Result<(), StoreError> {
        let json = serde_json::to_string(file).expect("a file is plain data");
        let mut command = redis::cmd("SET");
        command.arg(self.keys.robots(origin)).arg(json).arg("PX").arg(ttl.as_millis() as u64);
        command.query_async::<()>(&mut self.connection.clone()).await?;
        self.release_robots_claim(origin).await
    }

    /// Releases the claim on an origin's file. If this fails, the claim expires after a minute.
    pub async fn release_robots_claim(&self, origin: &str) -> Result<(), StoreError> {
        let mut command = redis::cmd("DEL");
        command.arg(self.keys.robots_claim(origin));
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }
}
