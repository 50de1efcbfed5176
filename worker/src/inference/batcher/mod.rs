//! Collecting images into batches, across items and jobs.
//!
//! A batch leaves as soon as the device is free. A tiny batch wastes the device while more images are on their way, so
//! callers announce how many will come, and a batch waits briefly for them. Interactive images have batches of their own,
//! which overtake those of bulk images that the device has not begun. The number of images in progress is bounded: an image
//! is admitted before it takes memory or a thread of the decoder. Invariants: decoder threads write images
//! straight into the memory that the device reads, and wait for nothing meanwhile, so admission and decoder cannot
//! deadlock; an image that fails after it has taken a place leaves the place unused.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread::available_parallelism,
    time::Duration,
};

use common::{
    embedding::{DeviceClass, Embedding, Space},
    priority::Priority,
    stage::{InStage, Stage},
};
use images::preprocess::Pixels;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

mod batches;

pub(super) use self::batches::Batches;
use super::stopwatch::Stopwatch;
use crate::model::{Backbone, BatchMemory, MemorySource, Place, TorchError};

/// How long a batch waits for expected images on a CPU.
const CPU_LINGER: Duration = Duration::from_millis(20);
/// How long a batch waits for expected images on a GPU, which computes a batch in a few milliseconds.
const GPU_LINGER: Duration = Duration::from_millis(4);
/// Most batches in progress: one is computed, one is uploaded, one is complete, and one is collected.
const BATCHES: usize = 4;

/// Why an image has no embedding.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EmbedError {
    /// The model thread has ended. [`Embedder::failure`] tells why.
    #[error("the model thread has ended")]
    Gone,
    /// The batch failed.
    #[error("the model failed: {0}")]
    Failed(String),
}

/// A handle on the model. Clones share it.
#[derive(Clone)]
pub struct Embedder(Arc<Handle>);

struct Handle {
    collector: Arc<Collector>,
    computing: Stopwatch,
    space: Space,
    device_class: DeviceClass,
}

/// A batch to compute.
pub(super) struct Batch {
    pub(super) memory: BatchMemory,
    pub(super) answers: Vec<Answer>,
}

/// The channel for the embedding of an image.
pub(super) struct Answer {
    /// Index of the image in the batch.
    pub(super) index: usize,
    sender: Sender,
    _admitted: Admitted,
}

type Sender = oneshot::Sender<Result<Embedding, EmbedError>>;

/// The right to submit one image.
pub(super) struct Admission {
    collector: Arc<Collector>,
    priority: Priority,
    admitted: Admitted,
}

/// An image in progress.
struct Admitted {
    _permit: OwnedSemaphorePermit,
    _in_stage: InStage,
}

/// An image whose embedding is being computed.
pub(super) struct Pending(oneshot::Receiver<Result<Embedding, EmbedError>>);

/// Images that a caller has announced. Dropping it withdraws those that are left.
pub struct ExpectedItems {
    collector: Arc<Collector>,
    priority: Priority,
    left: usize,
}

struct Collector {
    source: MemorySource,
    batch: usize,
    /// Most images in a batch now: fewer than `batch` after the device had too little memory.
    limit: AtomicUsize,
    /// Why the model thread ended.
    failure: OnceLock<String>,
    /// By priority, as all that follow.
    permits: [Arc<Semaphore>; 2],
    expected: [AtomicUsize; 2],
    state: Mutex<State>,
    changed: Condvar,
    stage: Stage,
}

#[derive(Default)]
struct State {
    lanes: [Lane; 2],
    free: Vec<BatchMemory>,
    /// The device is free.
    idle: bool,
    /// Every [`Embedder`] is dropped.
    ended: bool,
    /// The [`Batches`] are dropped.
    gone: bool,
}

/// The batches of one priority.
#[derive(Default)]
struct Lane {
    /// Oldest first; images are added to the last.
    batches: VecDeque<Collecting>,
    /// Number of the oldest batch, from 0 for the first of the process.
    oldest: u64,
}

struct Collecting {
    batch: Batch,
    /// Places that are being written.
    writing: usize,
    /// No more images are added.
    closed: bool,
}

/// A place that is being written, in the batch with this number.
struct Writing<'a> {
    collector: &'a Collector,
    priority: Priority,
    number: u64,
    /// `None` once the image is written.
    place: Option<Place>,
}

/// Makes the handle on a model, and the batches that it collects. `computing` runs while a batch is computed.
pub(super) fn connect(model: &Backbone, computing: Stopwatch) -> (Embedder, Batches) {
    let collector = Arc::new(Collector::new(model.memory(), model.batch()));
    let linger = if model.computes_in_background() { GPU_LINGER } else { CPU_LINGER };
    let (space, device_class) = (model.space().clone(), model.device_class().clone());
    let handle = Handle { collector: collector.clone(), computing, space, device_class };
    (Embedder(Arc::new(handle)), Batches { collector, linger, overtaking: 0 })
}

impl Embedder {
    /// Computes the embedding of one image, in a batch with others.
    ///
    /// # Errors
    /// If the batch fails, or the model thread has ended.
    pub async fn embed(&self, pixels: &Pixels) -> Result<Embedding, EmbedError> {
        let copy = |bytes: &mut [u8]| {
            bytes.copy_from_slice(&pixels.0);
            Ok::<_, Infallible>(())
        };
        let Ok(pending) = self.admit(Priority::Bulk).await?.submit(copy);
        pending.embedding().await
    }

    /// Waits for the right to submit one image.
    pub(super) async fn admit(&self, priority: Priority) -> Result<Admission, EmbedError> {
        let collector = self.0.collector.clone();
        let in_stage = collector.stage.enter(1);
        let permits = collector.permits[priority as usize].clone();
        let permit = permits.acquire_owned().await.map_err(|_| EmbedError::Gone)?;
        let admitted = Admitted { _permit: permit, _in_stage: in_stage };
        Ok(Admission { collector, priority, admitted })
    }

    /// How many images are on their way to an embedding, and how busy the device is.
    #[must_use]
    pub fn stage(&self) -> &Stage {
        &self.0.collector.stage
    }

    /// Announces `images`, so that a batch waits for them.
    #[must_use]
    pub fn expect_items(&self, images: usize, priority: Priority) -> ExpectedItems {
        self.0.collector.expected[priority as usize].fetch_add(images, Ordering::Relaxed);
        ExpectedItems { collector: self.0.collector.clone(), priority, left: images }
    }

    /// How long the current batch has been running; `None` while the device is free.
    #[must_use]
    pub fn busy(&self) -> Option<Duration> {
        self.0.computing.running()
    }

    /// Why the model thread has ended; `None` while it runs.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let Collector { failure, state, .. } = &*self.0.collector;
        let unknown = || state.lock().ok()?.gone.then(|| "the model thread has ended".to_owned());
        failure.get().cloned().or_else(unknown)
    }

    /// The space of its embeddings.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.0.space
    }

    /// The spaces whose embeddings it computes: that of its model, and that of its model and device class.
    #[must_use]
    pub fn spaces(&self) -> [Space; 2] {
        [self.0.space.clone(), self.0.space.of_class(&self.0.device_class)]
    }

    /// The class of the device.
    #[must_use]
    pub fn device_class(&self) -> &DeviceClass {
        &self.0.device_class
    }

    /// Most images in one batch.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.0.collector.batch
    }
}

impl Admission {
    /// Lets `write` write the image: 224×224 RGB, row by row. Does not wait for the device.
    ///
    /// # Errors
    /// Those of `write`.
    pub(super) fn submit<E>(self, write: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Pending, E> {
        let (sender, answered) = oneshot::channel();
        match self.collector.take_place(self.priority) {
            Ok(Some(mut writing)) => {
                writing.place.as_mut().expect("the image is not written yet").write(write)?;
                writing.finish(sender, self.admitted);
            }
            // The sender is dropped, so the caller learns that the model thread has ended.
            Ok(None) => {}
            Err(error) => drop(sender.send(Err(EmbedError::Failed(error.to_string())))),
        }
        Ok(Pending(answered))
    }
}

impl Pending {
    pub(super) async fn embedding(self) -> Result<Embedding, EmbedError> {
        self.0.await.unwrap_or(Err(EmbedError::Gone))
    }
}

impl Answer {
    pub(super) fn send(self, embedding: Result<Embedding, EmbedError>) {
        // The caller may have given up.
        let _ = self.sender.send(embedding);
    }
}

impl Collector {
    fn new(source: MemorySource, batch: usize) -> Self {
        // An image has its permit while it is decoded, too.
        let decoding = available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            source,
            batch,
            limit: AtomicUsize::new(batch),
            failure: OnceLock::new(),
            permits: [batch, BATCHES * batch].map(|images| Arc::new(Semaphore::new(images + decoding))),
            expected: Default::default(),
            state: Mutex::default(),
            changed: Condvar::new(),
            stage: Stage::new(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Takes the next place of the batch that is being collected; `None` if the model thread has ended.
    fn take_place(&self, priority: Priority) -> Result<Option<Writing<'_>>, TorchError> {
        let mut state = self.lock();
        let State { lanes, free, gone, .. } = &mut *state;
        if *gone {
            return Ok(None);
        }
        let Lane { batches, oldest } = &mut lanes[priority as usize];
        if batches.back().is_none_or(|last| last.closed) {
            let places = self.limit.load(Ordering::Relaxed);
            let memory = free.pop().map_or_else(|| self.source.allocate(places), Ok)?;
            let batch = Batch { memory, answers: Vec::with_capacity(self.batch) };
            batches.push_back(Collecting { batch, writing: 0, closed: false });
        }
        let number = *oldest + batches.len() as u64 - 1;
        let last = batches.back_mut().expect("a batch was added if there was none");
        let place = last.batch.memory.take_place();
        last.writing += 1;
        let places = last.batch.memory.places().min(self.limit.load(Ordering::Relaxed));
        last.closed = last.batch.memory.taken() >= places;
        Ok(Some(Writing { collector: self, priority, number, place }))
    }
}

impl Writing<'_> {
    fn finish(mut self, sender: Sender, admitted: Admitted) {
        self.end(Some((sender, admitted)));
    }

    fn end(&mut self, answer: Option<(Sender, Admitted)>) {
        let Some(place) = self.place.take() else { return };
        let index = place.index();
        let mut state = self.collector.lock();
        // Under the lock, since the memory may be read as soon as `writing` is 0.
        drop(place);
        let State { lanes, idle, .. } = &mut *state;
        let Lane { batches, oldest } = &mut lanes[self.priority as usize];
        // The batch is gone if the model thread has ended.
        let position = self.number.checked_sub(*oldest).map(|position| position as usize);
        let Some(collecting) = position.and_then(|position| batches.get_mut(position)) else { return };
        collecting.batch.answers.extend(answer.map(|(sender, _admitted)| Answer {
            index,
            sender,
            _admitted,
        }));
        collecting.writing -= 1;
        let complete = collecting.closed && collecting.writing == 0;
        if self.number == *oldest && (*idle || complete) {
            self.collector.changed.notify_one();
        }
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.collector.lock().ended = true;
        self.collector.changed.notify_one();
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.batches.is_empty())
    }
}

impl ExpectedItems {
    /// Removes one image that has its embedding or failed.
    pub fn resolve_one(&mut self) {
        if self.left > 0 {
            self.left -= 1;
            self.collector.expected[self.priority as usize].fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for ExpectedItems {
    fn drop(&mut self) {
        self.collector.expected[self.priority as usize].fetch_sub(self.left, Ordering::Relaxed);
    }
}

/// Makes a handle and batches of at most `batch` images without a model.
#[cfg(test)]
pub(super) fn connect_without_model(batch: usize) -> (Embedder, Batches) {
    let collector = Arc::new(Collector::new(MemorySource::for_tests(), batch));
    let (computing, space) = (Stopwatch::new(), Space("test".to_owned()));
    let device_class = DeviceClass("test".to_owned());
    let handle = Handle { collector: collector.clone(), computing, space, device_class };
    (Embedder(Arc::new(handle)), Batches { collector, linger: CPU_LINGER, overtaking: 0 })
}

#[cfg(test)]
mod tests;
