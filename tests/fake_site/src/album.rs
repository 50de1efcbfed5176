//! Files that were made for an answer, the newest of them.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
};

use bytes::Bytes;

/// Files kept at once: about 40 MB.
const KEPT: usize = 1_000;

/// Files by their path.
#[derive(Debug, Default)]
pub(super) struct Album(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    files: HashMap<String, Bytes>,
    order: VecDeque<String>,
}

impl Album {
    /// Returns the file at `path`, which `make` makes if it is not kept.
    pub(super) fn get(&self, path: &str, make: impl FnOnce() -> Bytes) -> Bytes {
        let lock = || self.0.lock().expect("no thread panics while it holds the album");
        if let Some(file) = lock().files.get(path) {
            return file.clone();
        }
        // Two that ask at once both make it, which comes to the same.
        let file = make();
        let mut kept = lock();
        if kept.files.insert(path.to_owned(), file.clone()).is_none() {
            kept.order.push_back(path.to_owned());
        }
        if kept.order.len() > KEPT
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.files.remove(&oldest);
        }
        file
    }
}
