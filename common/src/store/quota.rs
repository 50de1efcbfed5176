//! API quotas: how many units each API key has spent today, over all workers.
//!
//! Stores only hashes of the keys. The caller determines when a day begins.

use std::{collections::HashMap, sync::LazyLock};

use redis::Script;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError};

static SPEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/spend_quota.lua")));

/// A quota day of the site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuotaDay {
    /// `YYYY-MM-DD`.
    pub date: String,
    /// End of the day, in ms since the Unix epoch.
    pub resets_at_ms: u64,
}

/// The result of spending units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spending {
    Spent {
        /// Units spent today, including these.
        used: u64,
        /// End of the day.
        resets_at_ms: u64,
    },
    /// Too few units are left today; none were spent.
    Exhausted {
        /// Units spent today.
        used: u64,
        /// End of the day, or the time of the next try if the site refuses the key.
        resets_at_ms: u64,
    },
}

/// The quota of one key today.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QuotaUse {
    #[serde(default)]
    pub key_hash: String,
    /// `YYYY-MM-DD`.
    pub day: String,
    pub used: u64,
    /// Units per day.
    pub limit: u64,
    pub resets_at_ms: u64,
    /// Whether the site itself refused the key; the key is tried again within an hour.
    pub refused: bool,
}

impl Store {
    /// Spends `units` of a key's daily `limit`, or none if too few are left.
    pub async fn spend_quota(
        &self,
        key_hash: &str,
        day: &QuotaDay,
        units: u32,
        limit: u64,
    ) -> Result<Spending, StoreError> {
        self.count_units(key_hash, day, units, limit, false).await
    }

    /// Records that the site refused a key on `day`. Returns when to try it again, in ms since the Unix epoch.
    pub async fn record_quota_refusal(
        &self,
        key_hash: &str,
        day: &QuotaDay,
        limit: u64,
    ) -> Result<u64, StoreError> {
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

    /// Returns the quotas of the current day, sorted by key hash.
    pub async fn quota_usage(&self) -> Result<Vec<QuotaUse>, StoreError> {
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
