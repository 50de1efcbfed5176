//! Collecting images into batches, across items and jobs.
//!
//! A batch leaves as soon as the device is free. A tiny batch wastes the device while more images are on their way, so
//! callers announce how many will come, and a batch waits briefly for them. The queue to the device thread is bounded.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use common::embedding::{Embedding, Space};
use images::preprocess::Pixels;
use tokio::sync::{mpsc, oneshot};

/// How long a batch waits for expected images.
const LINGER: Duration = Duration::from_millis(20);
/// Polling interval while a batch waits.
const POLL_INTERVAL: Duration = Duration::from_micros(500);
/// Most images waiting for the device, in batches.
const WAITING_BATCHES: usize = 4;

/// Why an image has no embedding.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EmbedError {
    /// The model thread has ended.
    #[error("the model thread has ended")]
    Gone,
    /// The batch failed.
    #[error("the model failed: {0}")]
    Failed(String),
}

/// An image, and the channel for its embedding.
pub(super) struct Request {
    pub(super) pixels: Pixels,
    pub(super) answer: oneshot::Sender<Result<Embedding, EmbedError>>,
}

/// A handle on the model. Clones share it.
#[derive(Clone)]
pub struct Embedder {
    requests: mpsc::Sender<Request>,
    expected: Arc<AtomicUsize>,
    computing: Stopwatch,
    space: Space,
    batch: usize,
}

/// The other end of an [`Embedder`]: the batches to compute.
pub(super) struct Batches {
    requests: mpsc::Receiver<Request>,
    expected: Arc<AtomicUsize>,
    batch: usize,
}

/// Images that a caller has announced. Dropping it withdraws those that are left.
pub struct ExpectedItems {
    expected: Arc<AtomicUsize>,
    left: usize,
}

/// Makes the handle on a model whose embeddings belong to `space`, and the batches of at most `batch` images that it
/// collects. `computing` runs while a batch is computed.
pub(super) fn connect(space: Space, batch: usize, computing: Stopwatch) -> (Embedder, Batches) {
    let (sender, requests) = mpsc::channel(WAITING_BATCHES * batch);
    let expected = Arc::new(AtomicUsize::new(0));
    let embedder = Embedder { requests: sender, expected: expected.clone(), computing, space, batch };
    (embedder, Batches { requests, expected, batch })
}

impl Embedder {
    /// Computes the embedding of one image, in a batch with others.
    ///
    /// # Errors
    /// When the batch fails, or the model's thread has ended.
    pub async fn embed(&self, pixels: Pixels) -> Result<Embedding, EmbedError> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(Request { pixels, answer }).await.map_err(|_| EmbedError::Gone)?;
        answered.await.unwrap_or(Err(EmbedError::Gone))
    }

    /// Announces `images`, so that a batch waits for them.
    #[must_use]
    pub fn expect_items(&self, images: usize) -> ExpectedItems {
        self.expected.fetch_add(images, Ordering::Relaxed);
        ExpectedItems { expected: self.expected.clone(), left: images }
    }

    /// How long the current batch has been running; `None` while the device is free.
    #[must_use]
    pub fn busy(&self) -> Option<Duration> {
        self.computing.running()
    }

    /// The space of its embeddings.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Most images in one batch.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.batch
    }
}

impl Batches {
    /// Waits for the next batch; `None` once every [`Embedder`] is dropped. Blocks.
    pub(super) fn next(&mut self) -> Option<Vec<Request>> {
        // Skip images of cancelled jobs.
        let mut first = self.requests.blocking_recv()?;
        while first.answer.is_closed() {
            first = self.requests.blocking_recv()?;
        }
        Some(self.fill(first, 0))
    }

    /// Returns the next batch while the device still computes one of `computing` images; `None` if no image waits.
    pub(super) fn next_beside(&mut self, computing: usize) -> Option<Vec<Request>> {
        let mut first = self.requests.try_recv().ok()?;
        while first.answer.is_closed() {
            first = self.requests.try_recv().ok()?;
        }
        Some(self.fill(first, computing))
    }

    /// Adds waiting images to `first`, and expected ones that arrive within [`LINGER`]. The `computing` images still
    /// count as expected.
    fn fill(&mut self, first: Request, computing: usize) -> Vec<Request> {
        let mut batch = vec![first];
        let full_by = Instant::now() + LINGER;
        while batch.len() < self.batch {
            match self.requests.try_recv() {
                Ok(request) if request.answer.is_closed() => {}
                Ok(request) => batch.push(request),
                Err(_)
                    if self.expected.load(Ordering::Relaxed) > batch.len() + computing
                        && Instant::now() < full_by =>
                {
                    thread::sleep(POLL_INTERVAL);
                }
                Err(_) => break,
            }
        }
        batch
    }
}

impl ExpectedItems {
    /// Removes one image that has its embedding or failed.
    pub fn resolve_one(&mut self) {
        if self.left > 0 {
            self.left -= 1;
            self.expected.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for ExpectedItems {
    fn drop(&mut self) {
        self.expected.fetch_sub(self.left, Ordering::Relaxed);
    }
}

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
