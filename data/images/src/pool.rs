//! Limits concurrent CPU-bound work: image decoding and gradient computation.
//!
//! A semaphore over tokio's blocking threads. To prevent deadlocks, callers hold no other permit while they
//! wait.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Runs CPU-bound work on tokio's blocking threads, with limited concurrency.
pub struct CpuPool {
    permits: Arc<Semaphore>,
}

impl CpuPool {
    /// Creates a pool for at most `threads` concurrent closures.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(threads)) }
    }

    /// Runs `work` when a permit is free. Once started, `work` finishes even if this future is dropped.
    ///
    /// # Panics
    /// When `work` panics.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let permit = self.permits.clone().acquire_owned().await.expect("the semaphore is never closed");
        let handle = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        match handle.await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
