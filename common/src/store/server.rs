//! What the Redis server says of itself, for `doctor`.

use std::collections::HashMap;

use super::{Store, StoreError};

/// A server's version and the settings that decide whether results survive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerInfo {
    /// Version, such as `7.0.15`.
    pub version: String,
    /// Whether writes go to an append-only file.
    pub append_only: bool,
    /// What happens when memory is full: `noeviction` keeps everything.
    pub eviction: String,
    /// Bytes in use.
    pub used_bytes: u64,
    /// Bytes allowed; 0 for no limit.
    pub limit_bytes: u64,
}

impl Store {
    /// Asks the server about itself.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn server_info(&self) -> Result<ServerInfo, StoreError> {
        let text: String = redis::cmd("INFO").query_async(&mut self.connection.clone()).await?;
        let fields: HashMap<&str, &str> =
            text.lines().filter_map(|line| line.trim().split_once(':')).collect();
        let field = |name: &str| fields.get(name).copied().unwrap_or_default();
        Ok(ServerInfo {
            version: field("redis_version").to_owned(),
            append_only: field("aof_enabled") == "1",
            eviction: field("maxmemory_policy").to_owned(),
            used_bytes: field("used_memory").parse().unwrap_or(0),
            limit_bytes: field("maxmemory").parse().unwrap_or(0),
        })
    }
}
