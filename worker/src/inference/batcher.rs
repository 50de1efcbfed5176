//! Collecting images into batches, across items and jobs.
//!
//! Owns the bounded queue to the device thread and when a batch is complete: as soon as the device is free. A tiny batch
//! wastes the device while more images are on their way, so callers announce how many they will bring, and a batch waits
//! for them a moment. Does not own the model.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use common::embedding::{Embedding, Space};
use images::preprocess::Pixels;
use tokio::sync::{mpsc, oneshot};

use super::stopwatch::Stopwatch;

/// How long a batch waits for announced images.
const LINGER: Duration = Duration::from_millis(20);
/// How often it looks for them.
const LOOK_EVERY: Duration = Duration::from_micros(500);
/// Batches of images waiting for the device at most.
const WAITING_BATCHES: usize = 4;

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
    batch: usize,
}

/// The other end of an [`Embedder`]: the batches to compute.
pub(super) struct Batches {
    requests: mpsc::Receiver<Request>,
    announced: Arc<AtomicUsize>,
    batch: usize,
}

/// Images that a caller is going to bring. What is left of it when it is dropped is taken back.
pub struct Announcement {
    announced: Arc<AtomicUsize>,
    left: usize,
}

/// Makes the handle on a model whose embeddings belong to `space`, and the batches it collects, of at most `batch`
/// images. `computing` runs while one is computed.
pub(super) fn connect(space: Space, batch: usize, computing: Stopwatch) -> (Embedder, Batches) {
    let (sender, requests) = mpsc::channel(WAITING_BATCHES * batch);
    let announced = Arc::new(AtomicUsize::new(0));
    let embedder = Embedder { requests: sender, announced: announced.clone(), computing, space, batch };
    (embedder, Batches { requests, announced, batch })
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

    /// Most images in one batch.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.batch
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
        Some(self.fill(first, 0))
    }

    /// Returns the batch that follows one of `computing` images, which the device is computing; `None` if no image
    /// waits.
    pub(super) fn next_beside(&mut self, computing: usize) -> Option<Vec<Request>> {
        let mut first = self.requests.try_recv().ok()?;
        while first.answer.is_closed() {
            first = self.requests.try_recv().ok()?;
        }
        Some(self.fill(first, computing))
    }

    /// Adds to `first` what waits, and what is announced and comes soon. Images being computed are still announced.
    fn fill(&mut self, first: Request, computing: usize) -> Vec<Request> {
        let mut batch = vec![first];
        let full_by = Instant::now() + LINGER;
        while batch.len() < self.batch {
            match self.requests.try_recv() {
                Ok(request) if request.answer.is_closed() => {}
                Ok(request) => batch.push(request),
                Err(_)
                    if self.announced.load(Ordering::Relaxed) > batch.len() + computing
                        && Instant::now() < full_by =>
                {
                    thread::sleep(LOOK_EVERY);
                }
                Err(_) => break,
            }
        }
        batch
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
