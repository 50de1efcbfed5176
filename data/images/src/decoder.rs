//! Decodes images on several threads, within a budget of memory.
//!
//! A file of some kilobytes may have 50 megapixels, so the threads alone do not bound memory. An image first takes from
//! the budget what its header says that it needs, then a thread. Invariant: what holds a thread waits for nothing.

use std::sync::Arc;

use common::{byte_budget::PriorityBudget, priority::Priority, stage::Stage};
use tokio::task::spawn_blocking;

use crate::{decode::memory_bytes, pool::CpuPool};

/// The header of a file up to this size is read on the caller's thread.
const MAX_INLINE_BYTES: usize = 1 << 20;

/// The decoder of a process. Clones share threads and memory.
#[derive(Clone)]
pub struct Decoder {
    threads: Arc<CpuPool>,
    memory: PriorityBudget,
    stage: Stage,
}

impl Decoder {
    /// Creates a decoder of at most `threads` images at a time, which take at most `memory_bytes` together. An image
    /// that needs more than that is decoded alone.
    #[must_use]
    pub fn new(threads: usize, memory_bytes: u64) -> Self {
        Self {
            threads: Arc::new(CpuPool::new(threads)),
            memory: PriorityBudget::new(memory_bytes),
            stage: Stage::new(threads),
        }
    }

    /// How many images are waiting or decoded, and how busy the threads are.
    #[must_use]
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Runs `work`, which decodes `file`, when thread and memory are free. Once started, it finishes even if this
    /// future is dropped.
    ///
    /// # Panics
    /// When `work` panics.
    pub async fn run<F, T>(
        &self,
        priority: Priority,
        file: F,
        work: impl FnOnce(F) -> T + Send + 'static,
    ) -> T
    where
        F: AsRef<[u8]> + Send + 'static,
        T: Send + 'static,
    {
        let _in_stage = self.stage.enter(1);
        let (file, bytes) = match file.as_ref().len() {
            0..=MAX_INLINE_BYTES => {
                let bytes = memory_bytes(file.as_ref());
                (file, bytes)
            }
            // Junk before the header of a large file takes long to read.
            _ => spawn_blocking(move || {
                let bytes = memory_bytes(file.as_ref());
                (file, bytes)
            })
            .await
            .expect("reading a header does not panic"),
        };
        let memory = self.memory.acquire(bytes, priority).await;
        let stage = self.stage.clone();
        let work = move || {
            let working = stage.work();
            let result = work(file);
            drop((memory, working));
            result
        };
        self.threads.run(priority, work).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const BUDGET: u64 = 3_000_000;

    /// A PNG header of this size.
    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        let mut crc = flate2::Crc::new();
        bytes.extend([16, 6, 0, 0, 0]);
        crc.update(&bytes[12..]);
        bytes.extend(crc.sum().to_be_bytes());
        bytes.extend(b"\0\0\0\0IDAT");
        bytes
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn images_in_decoding_stay_within_the_budget() {
        let decoder = Decoder::new(16, BUDGET);
        let in_use = Arc::new(AtomicU64::new(0));
        let sizes = [(1000, 1000), (500, 1000), (1000, 400), (7000, 7000), (10, 10)];
        let mut runs = tokio::task::JoinSet::new();
        for index in 0..200 {
            let (width, height) = sizes[index % sizes.len()];
            let (decoder, in_use, file) = (decoder.clone(), in_use.clone(), png(width, height));
            let bytes = memory_bytes(&file);
            assert_eq!(bytes, u64::from(width * height * 3));
            let bytes = bytes.min(BUDGET);
            let work = move |_| {
                let total = in_use.fetch_add(bytes, Ordering::SeqCst) + bytes;
                std::thread::yield_now();
                in_use.fetch_sub(bytes, Ordering::SeqCst);
                total
            };
            runs.spawn(async move { decoder.run(Priority::Bulk, file, work).await });
        }
        let totals = runs.join_all().await;
        assert!(totals.iter().all(|total| *total <= BUDGET), "{totals:?}");
    }
}
