//! How long the model thread has been computing its current batch.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// A stopwatch that one thread starts and stops and others read. Clones share it.
#[derive(Clone)]
pub(super) struct Stopwatch {
    epoch: Instant,
    /// Milliseconds from `epoch` to the start, plus one; 0 while stopped.
    started: Arc<AtomicU64>,
}

impl Stopwatch {
    pub(super) fn new() -> Self {
        Self { epoch: Instant::now(), started: Arc::default() }
    }

    pub(super) fn start(&self) {
        self.started.store(self.elapsed_ms() + 1, Ordering::Relaxed);
    }

    pub(super) fn stop(&self) {
        self.started.store(0, Ordering::Relaxed);
    }

    /// How long it has been running; `None` while stopped.
    pub(super) fn running(&self) -> Option<Duration> {
        let started_ms = self.started.load(Ordering::Relaxed).checked_sub(1)?;
        Some(Duration::from_millis(self.elapsed_ms().saturating_sub(started_ms)))
    }

    fn elapsed_ms(&self) -> u64 {
        self.epoch.elapsed().as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopwatch_runs_between_start_and_stop() {
        let stopwatch = Stopwatch::new();
        assert_eq!(stopwatch.running(), None);
        stopwatch.start();
        assert!(stopwatch.clone().running().is_some());
        stopwatch.stop();
        assert_eq!(stopwatch.running(), None);
    }
}
