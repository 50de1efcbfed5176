//! Units of the Data API that each key has used.

use std::{collections::HashMap, sync::Mutex};

/// Counts a key's units until they are given back.
#[derive(Debug, Default)]
pub(super) struct Quota(Mutex<HashMap<String, u64>>);

impl Quota {
    /// Takes a unit, if the key has one left.
    pub(super) fn take(&self, key: &str, units: u64) -> bool {
        let mut used = self.0.lock().expect("no thread panics while it holds the quota");
        let used = used.entry(key.to_owned()).or_default();
        let is_left = *used < units;
        *used += u64::from(is_left);
        is_left
    }

    pub(super) fn used(&self, key: &str) -> u64 {
        *self.0.lock().expect("no thread panics while it holds the quota").get(key).unwrap_or(&0)
    }

    /// As at midnight.
    pub(super) fn give_back(&self) {
        self.0.lock().expect("no thread panics while it holds the quota").clear();
    }
}
