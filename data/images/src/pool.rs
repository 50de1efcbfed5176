//! A bound on how much work keeps the CPU busy at once: decoding images, and computing gradients of runs.
//!
//! Owns a semaphore; the threads are tokio's. Whoever waits for it holds nothing else.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Runs work that keeps a core busy, on threads of tokio that may block, and only so much of it at once.
pub struct CpuPool {
    threads: Arc<Semaphore>,
}

impl CpuPool {
    /// Makes a pool that runs up to `threads` pieces of work at once.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self { threads: Arc::new(Semaphore::new(threads)) }
    }

    /// Runs `work` once a place is free. Not cancelled when the caller goes away.
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
