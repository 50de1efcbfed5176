//! Data API units used by each key.

use std::{collections::HashMap, sync::Mutex};

#[derive(Debug, Default)]
pub(super) struct Quota(Mutex<HashMap<String, u64>>);

impl Quota {
    /// Uses one unit; returns false if none is left of `units`.
    pub(super) fn take(&self, key: &str, units: u64) -> bool {
        let mut used = self.0.lock().expect("no thread panics while it holds the lock");
        let used = used.entry(key.to_owned()).or_default();
        let is_left = *used < units;
        *used += u64::from(is_left);
        is_left
    }

    pub(super) fn used(&self, key: &str) -> u64 {
        *self.0.lock().expect("no thread panics while it holds the lock").get(key).unwrap_or(&0)
    }

    /// Resets all keys, as at midnight.
    pub(super) fn reset(&self) {
        self.0.lock().expect("no thread panics while it holds the lock").clear();
    }
}
