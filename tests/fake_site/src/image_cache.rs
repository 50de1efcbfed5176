//! A cache of the most recently generated images.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
};

use bytes::Bytes;

/// Maximum number of files, about 40 MB.
const CAPACITY: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct ImageCache(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    files: HashMap<String, Bytes>,
    order: VecDeque<String>,
}

impl ImageCache {
    /// Returns the file at `path`, generating it with `make` if it is not cached.
    pub(super) fn get(&self, path: &str, make: impl FnOnce() -> Bytes) -> Bytes {
        let lock = || self.0.lock().expect("no thread panics while it holds the lock");
        if let Some(file) = lock().files.get(path) {
            return file.clone();
        }
        // Concurrent requests may both generate the same file.
        let file = make();
        let mut entries = lock();
        if entries.files.insert(path.to_owned(), file.clone()).is_none() {
            entries.order.push_back(path.to_owned());
        }
        if entries.order.len() > CAPACITY
            && let Some(oldest) = entries.order.pop_front()
        {
            entries.files.remove(&oldest);
        }
        file
    }
}
