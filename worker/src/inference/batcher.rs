//! Collecting images into batches, across items and jobs.
//!
//! Owns the bounded queue to the device thread and when a batch is complete: as soon as the device is free. A tiny batch
//! wastes the device while more images are on their way, so callers announce how many they will bring, and a batch waits
//! for them a moment. Does not own the model.

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

use crate::model::BATCH;

/// How long a batch waits for announced images.
const LINGER: Duration = Duration::from_millis(20);
/// How often it looks for them.
const LOOK_EVERY: Duration = Duration::from_micros(500);
/// Images waiting for the device at most.
const WAITING: usize = 4 * BATCH;

/// Why an image has no embedding.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EmbedError {
    /// The model's thread has ended.
    #[error("the model's thread has ended")]
    Gone,
    /// The batch failed.
    #[error("the model failed: {0}")]
    Failed(String),
}

/// An image and where its embedding is awaited.
pub(super) struct Request {
    pub(super) pixels: Pixels,
    pub(super) answer: oneshot::Sender<Result<Embedding, EmbedError>>,
}

/// A handle on the model. Clones share it.
#[derive(Clone)]
pub struct Embedder {
    requests: mpsc::Sender<Request>,
    announced: Arc<AtomicUsize>,
    computing: Stopwatch,
    space: Space,
}

/// The other end of an [`Embedder`]: the batches to compute.
pub(super) struct Batches {
    requests: mpsc::Receiver<Request>,
    announced: Arc<AtomicUsize>,
}

/// Images that a caller is going to bring. What is left of it when it is dropped is taken back.
pub struct Announcement {
    announced: Arc<AtomicUsize>,
    left: usize,
}

/// Makes the handle on a model whose embeddings belong to `space`, and the batches it collects. `computing` runs while
/// one is computed.
pub(super) fn connect(space: Space, computing: Stopwatch) -> (Embedder, Batches) {
    let (sender, requests) = mpsc::channel(WAITING);
    let announced = Arc::new(AtomicUsize::new(0));
    let embedder = Embedder { requests: sender, announced: announced.clone(), computing, space };
    (embedder, Batches { requests, announced })
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

    /// Says that `images` are going to come, until they are settled.
    #[must_use]
    pub fn announce(&self, images: usize) -> Announcement {
        self.announced.fetch_add(images, Ordering::Relaxed);
        Announcement { announced: self.announced.clone(), left: images }
    }

    /// How long the current batch has been running; `None` while the device is free.
    #[must_use]
    pub fn busy(&self) -> Option<Duration> {
        self.computing.running()
    }

    /// Where its embeddings belong.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.space
    }
}

impl Batches {
    /// Waits for the next batch; `None` once every [`Embedder`] is dropped. Blocks.
    pub(super) fn next(&mut self) -> Option<Vec<Request>> {
        // Images of a job that was given up are awaited no more.
        let mut first = self.requests.blocking_recv()?;
        while first.answer.is_closed() {
            first = self.requests.blocking_recv()?;
        }
        let mut batch = vec![first];
        let full_by = Instant::now() + LINGER;
        while batch.len() < BATCH {
            match self.requests.try_recv() {
                Ok(request) if request.answer.is_closed() => {}
                Ok(request) => batch.push(request),
                Err(_)
                    if self.announced.load(Ordering::Relaxed) > batch.len() && Instant::now() < full_by =>
                {
                    thread::sleep(LOOK_EVERY);
                }
                Err(_) => break,
            }
        }
        Some(batch)
    }
}

impl Announcement {
    /// One of the images has its embedding, or will not come.
    pub fn settle_one(&mut self) {
        if self.left > 0 {
            self.left -= 1;
            self.announced.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        self.announced.fetch_sub(self.left, Ordering::Relaxed);
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

    /// Returns how long it has been running; nothing while it is stopped.
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
    fn it_runs_between_start_and_stop() {
        let stopwatch = Stopwatch::new();
        assert_eq!(stopwatch.running(), None);
        stopwatch.start();
        assert!(stopwatch.clone().running().is_some());
        stopwatch.stop();
        assert_eq!(stopwatch.running(), None);
    }
}
