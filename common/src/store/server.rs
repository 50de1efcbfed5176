//! The Redis server's version and settings, for `doctor`.

use std::collections::HashMap;

use super::{Store, StoreError};

/// A server's version and the settings that affect durability.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerInfo {
    /// Such as `7.0.15`.
    pub version: String,
    /// Whether it is a replica, which refuses writes.
    pub replica: bool,
    /// Whether the append-only file is enabled.
    pub append_only: bool,
    /// `maxmemory-policy`; only `noeviction` never loses data.
    pub eviction: String,
    pub used_bytes: u64,
    /// `maxmemory`; 0 for no limit.
    pub limit_bytes: u64,
}

impl ServerInfo {
    /// Whether the server refuses writes because it has reached `maxmemory`.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.limit_bytes > 0 && self.used_bytes >= self.limit_bytes
    }

    /// Whether 90 % of `maxmemory` are used. The rest is for the results of submissions in progress.
    #[must_use]
    pub fn is_nearly_full(&self) -> bool {
        is_nearly_full(self.used_bytes, self.limit_bytes)
    }
}

impl Store {
    pub async fn server_info(&self) -> Result<ServerInfo, StoreError> {
        let text: String = redis::cmd("INFO").query_async(&mut self.connection.clone()).await?;
        let fields = fields(&text);
        let field = |name: &str| fields.get(name).copied().unwrap_or_default();
        Ok(ServerInfo {
            version: field("redis_version").to_owned(),
            replica: field("role") == "slave",
            append_only: field("aof_enabled") == "1",
            eviction: field("maxmemory_policy").to_owned(),
            used_bytes: field("used_memory").parse().unwrap_or(0),
            limit_bytes: field("maxmemory").parse().unwrap_or(0),
        })
    }

    /// Whether 90 % of the server's `maxmemory` are used; cheaper than [`Store::server_info`].
    pub async fn is_memory_nearly_full(&self) -> Result<bool, StoreError> {
        let text: String = redis::cmd("INFO").arg("memory").query_async(&mut self.connection.clone()).await?;
        let fields = fields(&text);
        let bytes = |name: &str| fields.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(is_nearly_full(bytes("used_memory"), bytes("maxmemory")))
    }
}

fn fields(info: &str) -> HashMap<&str, &str> {
    info.lines().filter_map(|line| line.trim().split_once(':')).collect()
}

fn is_nearly_full(used_bytes: u64, limit_bytes: u64) -> bool {
    limit_bytes > 0 && used_bytes >= limit_bytes / 10 * 9
}
