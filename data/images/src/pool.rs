//! A bound on how many images are decoded at once.
//!
//! Owns the semaphore; whoever waits for it holds nothing else.

use std::sync::Arc;

use tokio::sync::Semaphore;

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
