//! Bounds on what a worker does at once: bytes of images in memory, and images being decoded.
//!
//! Owns the semaphores; whoever waits for one holds nothing else.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Unit of the memory budget.
const UNIT_BYTES: u64 = 1024;
/// Bytes of image files in memory at once.
const IMAGE_MEMORY_BYTES: u64 = 512 << 20;

/// A budget of bytes for image files.
pub struct ImageMemory {
    units: Arc<Semaphore>,
}

impl Default for ImageMemory {
    fn default() -> Self {
        Self { units: Arc::new(Semaphore::new((IMAGE_MEMORY_BYTES / UNIT_BYTES) as usize)) }
    }
}

impl ImageMemory {
    /// Waits until `bytes` fit; a file larger than the whole budget waits for all of it.
    pub async fn acquire(&self, bytes: u64) -> OwnedSemaphorePermit {
        let units = bytes.min(IMAGE_MEMORY_BYTES).div_ceil(UNIT_BYTES) as u32;
        self.units.clone().acquire_many_owned(units).await.expect("the semaphore is never closed")
    }
}

/// A pool of threads for work that keeps a core busy.
pub struct CpuPool {
    threads: Arc<Semaphore>,
}

impl CpuPool {
    /// Makes a pool of `threads` threads.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self { threads: Arc::new(Semaphore::new(threads)) }
    }

    /// Runs `work` on a thread of the pool. Not cancelled when the caller goes away.
    ///
    /// # Panics
    /// When `work` does.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let permit = self.threads.clone().acquire_owned().await.expect("the semaphore is never closed");
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        match done.await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_is_bounded_and_given_back() {
        let memory = ImageMemory::default();
        let all = memory.acquire(u64::MAX).await;
        assert_eq!(memory.units.available_permits(), 0);
        drop(all);
        let _one = memory.acquire(1).await;
        assert_eq!(memory.units.available_permits(), (IMAGE_MEMORY_BYTES / UNIT_BYTES) as usize - 1);
    }
}
