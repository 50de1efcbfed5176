//! The quota ledger: how many units each key of an API has spent today, over all workers together.
//!
//! Owns the count. Does not know keys, only their hashes, nor when a day begins: the caller says.

use std::{collections::HashMap, sync::LazyLock};

use redis::Script;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError};

static SPEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/spend_quota.lua")));

/// A day, as the site counts them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuotaDay {
    /// Its date, as `YYYY-MM-DD`.
    pub date: String,
    /// When it ends, in ms since the Unix epoch.
    pub resets_at_ms: u64,
}

/// What came of spending units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spending {
    /// They are spent.
    Spent {
        /// Units spent today, these included.
        used: u64,
        /// When the day ends.
        resets_at_ms: u64,
    },
    /// There are not as many left today; none were spent.
    Exhausted {
        /// Units spent today.
        used: u64,
        /// When the day ends; or when the site, which refuses the key, is asked again.
        resets_at_ms: u64,
    },
}

/// What a key has spent today.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QuotaUse {
    /// Hash of the key.
    #[serde(default)]
    pub key_hash: String,
    /// The day, as `YYYY-MM-DD`.
    pub day: String,
    /// Units spent.
    pub used: u64,
    /// Units a day.
    pub limit: u64,
    /// When the day ends, in ms since the Unix epoch.
    pub resets_at_ms: u64,
    /// Whether the site itself refuses the key; it is asked again within an hour.
    pub refused: bool,
}

impl Store {
    /// Spends `units` of the `limit` that a key has on `day`.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn spend(
        &self,
        key_hash: &str,
        day: &QuotaDay,
        units: u32,
        limit: u64,
    ) -> Result<Spending, StoreError> {
        self.count_units(key_hash, day, units, limit, false).await
    }

    /// Notes that the site refuses a key on `day`. Returns when it is asked again, in ms since the epoch.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn exhaust(&self, key_hash: &str, day: &QuotaDay, limit: u64) -> Result<u64, StoreError> {
        let (Spending::Spent { resets_at_ms, .. } | Spending::Exhausted { resets_at_ms, .. }) =
            self.count_units(key_hash, day, 0, limit, true).await?;
        Ok(resets_at_ms)
    }

    async fn count_units(
        &self,
        key_hash: &str,
        day: &QuotaDay,
        units: u32,
        limit: u64,
        refused: bool,
    ) -> Result<Spending, StoreError> {
        let (verdict, used, resets_at_ms): (String, u64, u64) = SPEND
            .key(self.keys.quotas())
            .arg(key_hash)
            .arg(&day.date)
            .arg(day.resets_at_ms)
            .arg(units)
            .arg(limit)
            .arg(u8::from(refused))
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(match verdict.as_str() {
            "spent" => Spending::Spent { used, resets_at_ms },
            _ => Spending::Exhausted { used, resets_at_ms },
        })
    }

    /// Returns what keys have spent in the days that are not over, by hash.
    ///
    /// # Errors
    /// When Redis does not serve or an entry is not one.
    pub async fn quota(&self) -> Result<Vec<QuotaUse>, StoreError> {
        let key = self.keys.quotas();
        let now_ms = self.now_ms().await?;
        let entries: HashMap<String, String> =
            redis::cmd("HGETALL").arg(&key).query_async(&mut self.connection.clone()).await?;
        let mut found = Vec::with_capacity(entries.len());
        for (key_hash, json) in entries {
            let entry: QuotaUse =
                serde_json::from_str(&json).map_err(|error| StoreError::corrupt(&key, &error))?;
            found.push(QuotaUse { key_hash, ..entry });
        }
        found.retain(|entry| entry.resets_at_ms > now_ms);
        found.sort_by(|one, other| one.key_hash.cmp(&other.key_hash));
        Ok(found)
    }
}
