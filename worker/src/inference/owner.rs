//! The thread that owns the model, and the handle through which the rest of the program uses it.
//!
//! Owns batching. Images of all jobs share batches; a batch leaves when the device is free. A tiny batch
//! wastes the device while more images are on their way, so callers announce how many they will bring, and
//! the owner waits for them a moment. It shows since when a batch runs, for whoever watches over it. Invariant: a batch that fails fails its own images, never the process.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
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
use crate::model::{BATCH, Backbone, ModelConfig, ModelError};

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

struct Request {
    pixels: Pixels,
    answer: oneshot::Sender<Result<Embedding, EmbedError>>,
}

/// A loaded model.
pub struct Model {
    embedder: Embedder,
    device: tch::Device,
    threads: usize,
}

/// A handle on the model. Clones share it.
#[derive(Clone)]
pub struct Embedder {
    requests: mpsc::Sender<Request>,
    announced: Arc<AtomicUsize>,
    batch: Stopwatch,
    space: Space,
}

/// Images that a caller is going to bring. What is left of it when it is dropped is taken back.
pub struct Announcement {
    announced: Arc<AtomicUsize>,
    left: usize,
}

impl Model {
    /// Loads the model on a thread of its own and waits until it is ready. Blocks.
    ///
    /// # Errors
    /// When weights or device cannot be had.
    pub fn start(config: ModelConfig) -> Result<Self, ModelError> {
        let (requests, queue) = mpsc::channel(WAITING);
        let announced = Arc::new(AtomicUsize::new(0));
        let batch = Stopwatch::new();
        let (ready, loaded) = std::sync::mpsc::channel();
        let (expected, timed) = (announced.clone(), batch.clone());
        let own = move || match load(&config) {
            Ok((backbone, device)) => {
                let threads = tch::get_num_threads() as usize;
                // Nobody waits any more when the program ends while it loads.
                let _ = ready.send(Ok((backbone.space().clone(), device, threads)));
                serve(&backbone, queue, &expected, &timed);
            }
            Err(error) => drop(ready.send(Err(error))),
        };
        thread::Builder::new().name("model".to_owned()).spawn(own).expect("the process may start threads");
        let loaded =
            loaded.recv().unwrap_or_else(|_| Err(ModelError::Device("the model's thread died".to_owned())));
        let (space, device, threads) = loaded?;
        Ok(Self { embedder: Embedder { requests, announced, batch, space }, device, threads })
    }

    /// Returns a handle.
    #[must_use]
    pub fn embedder(&self) -> Embedder {
        self.embedder.clone()
    }

    /// Returns the device's name: `cpu` or `cuda:N`.
    #[must_use]
    pub fn device(&self) -> String {
        match self.device {
            tch::Device::Cuda(number) => format!("cuda:{number}"),
            _ => "cpu".to_owned(),
        }
    }

    /// Returns the number of compute threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }
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

    /// How long the current batch has been running; nothing while the device is free.
    #[must_use]
    pub fn busy(&self) -> Option<Duration> {
        self.batch.running()
    }

    /// Where its embeddings belong.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.space
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

fn load(config: &ModelConfig) -> Result<(Backbone, tch::Device), ModelError> {
    let device = config.device.resolve()?;
    tch::set_num_interop_threads(1);
    if let Some(threads) = config.threads {
        tch::set_num_threads(threads as i32);
    }
    let precision = config.precision.resolve(device);
    let began = Instant::now();
    let state = config.weights.load(&config.cache_dir)?;
    let backbone = Backbone::new(&state, precision, device)?;
    // The first batch of a shape pays for its kernels' choice; better now than under a job.
    let grey = Pixels(vec![128; images::preprocess::SIDE * images::preprocess::SIDE * 3]);
    backbone.features(&vec![grey; BATCH])?;
    tracing::info!(weights = %config.weights, ?device, %precision, space = %backbone.space(),
        seconds = began.elapsed().as_secs_f64(), "model loaded");
    Ok((backbone, device))
}

fn serve(
    backbone: &Backbone,
    mut queue: mpsc::Receiver<Request>,
    announced: &AtomicUsize,
    stopwatch: &Stopwatch,
) {
    while let Some(first) = queue.blocking_recv() {
        // Nobody waits for the images of a job that was given up.
        if first.answer.is_closed() {
            continue;
        }
        stopwatch.start();
        let mut batch = vec![first];
        let full_by = Instant::now() + LINGER;
        while batch.len() < BATCH {
            match queue.try_recv() {
                Ok(request) if request.answer.is_closed() => {}
                Ok(request) => batch.push(request),
                Err(_) if announced.load(Ordering::Relaxed) > batch.len() && Instant::now() < full_by => {
                    thread::sleep(LOOK_EVERY);
                }
                Err(_) => break,
            }
        }
        answer(backbone, batch);
        stopwatch.stop();
    }
}

fn answer(backbone: &Backbone, batch: Vec<Request>) {
    let (pixels, answers): (Vec<_>, Vec<_>) =
        batch.into_iter().map(|request| (request.pixels, request.answer)).unzip();
    let embeddings = catch_unwind(AssertUnwindSafe(|| backbone.embed(&pixels)));
    let failure = match embeddings {
        Ok(Ok(embeddings)) => {
            for (answer, embedding) in answers.into_iter().zip(embeddings) {
                // The caller may have given up.
                let _ = answer.send(Ok(embedding));
            }
            return;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it panicked".to_owned(),
    };
    tracing::error!(images = answers.len(), error = %failure, "a batch failed");
    for answer in answers {
        let _ = answer.send(Err(EmbedError::Failed(failure.clone())));
    }
}
