//! Collecting images into batches, across items and jobs.
//!
//! Owns the bound on images in progress, where each image is written, and when a batch is complete: as soon as the device
//! is free. A tiny batch wastes the device while more images are on their way, so callers announce how many they will
//! bring, and a batch waits for them a moment. Does not own the model. Invariants: images are written by the threads that
//! bring them, straight into the memory that the device reads; an image that fails after it has taken its place leaves
//! the place unused.

use std::{
    collections::VecDeque,
    convert::Infallible,
    mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    thread::available_parallelism,
    time::{Duration, Instant},
};

use common::embedding::{Embedding, Space};
use images::preprocess::Pixels;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::stopwatch::Stopwatch;
use crate::model::{Backbone, BatchMemory, MemorySource, Place, TorchError};

/// How long a batch waits for announced images, on a CPU and on a GPU, which computes a batch in a few milliseconds.
const CPU_LINGER: Duration = Duration::from_millis(20);
const GPU_LINGER: Duration = Duration::from_millis(4);
/// How often it looks for them.
const LOOK_EVERY: Duration = Duration::from_micros(500);
/// Batches of images in progress at most: being computed, uploaded, complete and collected.
const BATCHES: usize = 4;

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

/// A handle on the model. Clones share it.
#[derive(Clone)]
pub struct Embedder(Arc<Handle>);

struct Handle {
    collector: Arc<Collector>,
    computing: Stopwatch,
    space: Space,
}

/// The other end of an [`Embedder`]: the batches to compute.
pub(super) struct Batches {
    collector: Arc<Collector>,
    linger: Duration,
}

/// A batch to compute.
pub(super) struct Batch {
    pub(super) memory: BatchMemory,
    pub(super) answers: Vec<Answer>,
}

/// Where the embedding of an image is awaited.
pub(super) struct Answer {
    /// Its place in the batch.
    pub(super) at: usize,
    sender: Sender,
    _permit: OwnedSemaphorePermit,
}

type Sender = oneshot::Sender<Result<Embedding, EmbedError>>;

/// The right to bring one image.
pub(super) struct Admission {
    collector: Arc<Collector>,
    permit: OwnedSemaphorePermit,
}

/// An image whose embedding is being computed.
pub(super) struct Pending(oneshot::Receiver<Result<Embedding, EmbedError>>);

/// Images that a caller is going to bring. What is left of it when it is dropped is taken back.
pub struct Announcement {
    collector: Arc<Collector>,
    left: usize,
}

struct Collector {
    source: MemorySource,
    batch: usize,
    permits: Arc<Semaphore>,
    announced: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Oldest first; images are added to the last.
    batches: VecDeque<Collecting>,
    /// Number of the oldest, counted from the start.
    oldest: u64,
    free: Vec<BatchMemory>,
    /// The device has nothing to do.
    idle: bool,
    /// Every [`Embedder`] is dropped.
    ended: bool,
    /// The [`Batches`] are dropped.
    gone: bool,
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
    number: u64,
    /// `None` once it is written.
    place: Option<Place>,
}

/// Makes the handle on a model, and the batches it collects. `computing` runs while one is computed.
pub(super) fn connect(model: &Backbone, computing: Stopwatch) -> (Embedder, Batches) {
    let collector = Arc::new(Collector::new(model.memory(), model.batch()));
    let linger = if model.computes_in_background() { GPU_LINGER } else { CPU_LINGER };
    let handle = Handle { collector: collector.clone(), computing, space: model.space().clone() };
    (Embedder(Arc::new(handle)), Batches { collector, linger })
}

impl Embedder {
    /// Computes the embedding of one image, in a batch with others.
    ///
    /// # Errors
    /// When the batch fails, or the model's thread has ended.
    pub async fn embed(&self, pixels: &Pixels) -> Result<Embedding, EmbedError> {
        let copy = |bytes: &mut [u8]| {
            bytes.copy_from_slice(&pixels.0);
            Ok::<_, Infallible>(())
        };
        let Ok(pending) = self.admit().await?.submit(copy);
        pending.embedding().await
    }

    /// Waits for the right to bring one image.
    pub(super) async fn admit(&self) -> Result<Admission, EmbedError> {
        let collector = self.0.collector.clone();
        let permit = collector.permits.clone().acquire_owned().await.map_err(|_| EmbedError::Gone)?;
        Ok(Admission { collector, permit })
    }

    /// Says that `images` are going to come, until they are settled.
    #[must_use]
    pub fn announce(&self, images: usize) -> Announcement {
        self.0.collector.announced.fetch_add(images, Ordering::Relaxed);
        Announcement { collector: self.0.collector.clone(), left: images }
    }

    /// How long the current batch has been running; `None` while the device is free.
    #[must_use]
    pub fn busy(&self) -> Option<Duration> {
        self.0.computing.running()
    }

    /// Where its embeddings belong.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.0.space
    }

    /// Most images in one batch.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.0.collector.batch
    }
}

impl Admission {
    /// Lets `write` write the image, 224×224 RGB row by row, where the device reads it. Does not block on the device.
    ///
    /// # Errors
    /// Those of `write`.
    pub(super) fn submit<E>(self, write: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Pending, E> {
        let (sender, answered) = oneshot::channel();
        match self.collector.take_place() {
            Ok(Some(mut writing)) => {
                write(writing.place.as_mut().expect("it is not written yet").bytes_mut())?;
                writing.finish(sender, self.permit);
            }
            // The sender is dropped: no answer will come.
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
        // Permits are held while an image is decoded, too.
        let decoding = available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            source,
            batch,
            permits: Arc::new(Semaphore::new(BATCHES * batch + decoding)),
            announced: AtomicUsize::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Takes the next place of the batch that is being collected; `None` if none will be computed.
    fn take_place(&self) -> Result<Option<Writing<'_>>, TorchError> {
        let mut state = self.lock();
        if state.gone {
            return Ok(None);
        }
        if state.batches.back().is_none_or(|last| last.closed) {
            let memory = state.free.pop().map_or_else(|| self.source.allocate(self.batch), Ok)?;
            let batch = Batch { memory, answers: Vec::with_capacity(self.batch) };
            state.batches.push_back(Collecting { batch, writing: 0, closed: false });
        }
        let number = state.oldest + state.batches.len() as u64 - 1;
        let last = state.batches.back_mut().expect("one was added if there was none");
        let place = last.batch.memory.take_place();
        last.writing += 1;
        last.closed = last.batch.memory.taken() == self.batch;
        Ok(Some(Writing { collector: self, number, place }))
    }
}

impl Writing<'_> {
    fn finish(mut self, sender: Sender, permit: OwnedSemaphorePermit) {
        self.end(Some((sender, permit)));
    }

    fn end(&mut self, asked: Option<(Sender, OwnedSemaphorePermit)>) {
        let Some(place) = self.place.take() else { return };
        let at = place.number();
        let mut state = self.collector.lock();
        // Under the lock: who reads the memory has seen there that it is not being written.
        drop(place);
        let (idle, oldest) = (state.idle, state.oldest);
        // The batch is gone if the model's thread has ended.
        let number = self.number.checked_sub(oldest).map(|at| at as usize);
        let Some(collecting) = number.and_then(|at| state.batches.get_mut(at)) else { return };
        collecting.batch.answers.extend(asked.map(|(sender, _permit)| Answer { at, sender, _permit }));
        collecting.writing -= 1;
        let complete = collecting.closed && collecting.writing == 0;
        if self.number == oldest && (idle || complete) {
            self.collector.changed.notify_one();
        }
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl Batches {
    /// Waits for the next batch; `None` once every [`Embedder`] is dropped. Blocks.
    pub(super) fn next(&mut self) -> Option<Batch> {
        loop {
            let mut state = self.collector.lock();
            state.idle = true;
            let nothing = |state: &mut State| state.batches.is_empty() && !state.ended;
            state = self.collector.changed.wait_while(state, nothing).expect("no holder of this lock panics");
            state.idle = false;
            drop(state);
            match self.next_beside(0) {
                None if self.collector.lock().ended => return None,
                None => {}
                batch => return batch,
            }
        }
    }

    /// Returns the batch that follows one of `computing` images, which the device is computing; `None` if no image
    /// waits.
    pub(super) fn next_beside(&mut self, computing: usize) -> Option<Batch> {
        loop {
            let state = self.collector.lock();
            if state.batches.is_empty() {
                return None;
            }
            let batch = self.take(state, computing);
            if batch.answers.iter().any(|answer| !answer.sender.is_closed()) {
                return Some(batch);
            }
            // All its images failed, or their jobs were given up.
            self.give_back(batch.memory);
        }
    }

    /// Takes the oldest batch once it is full, or nothing more is announced or comes soon. Images being computed are
    /// still announced.
    fn take(&self, mut state: MutexGuard<'_, State>, computing: usize) -> Batch {
        let full_by = Instant::now() + self.linger;
        let wait = |state, time| {
            let waited = self.collector.changed.wait_timeout(state, time);
            waited.expect("no holder of this lock panics").0
        };
        loop {
            let oldest = &state.batches[0];
            let brought = oldest.batch.memory.taken() + computing;
            let more = self.collector.announced.load(Ordering::Relaxed) > brought;
            if oldest.closed || !more || Instant::now() >= full_by {
                break;
            }
            state = wait(state, LOOK_EVERY);
        }
        state.batches[0].closed = true;
        while state.batches[0].writing > 0 {
            state = wait(state, LOOK_EVERY);
        }
        state.oldest += 1;
        state.batches.pop_front().expect("it was there all the time").batch
    }

    /// Takes back the memory of a batch that is computed.
    pub(super) fn give_back(&self, mut memory: BatchMemory) {
        memory.clear();
        self.collector.lock().free.push(memory);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.collector.lock().ended = true;
        self.collector.changed.notify_one();
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.collector.permits.close();
        let mut state = self.collector.lock();
        state.gone = true;
        let waiting = mem::take(&mut state.batches);
        state.oldest += waiting.len() as u64;
        drop(state);
        drop(waiting);
    }
}

impl Announcement {
    /// One of the images has its embedding, or will not come.
    pub fn settle_one(&mut self) {
        if self.left > 0 {
            self.left -= 1;
            self.collector.announced.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        self.collector.announced.fetch_sub(self.left, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(batch: usize) -> (Embedder, Batches) {
        let collector = Arc::new(Collector::new(MemorySource::on_cpu(), batch));
        let handle = Handle {
            collector: collector.clone(),
            computing: Stopwatch::new(),
            space: Space("test".to_owned()),
        };
        (Embedder(Arc::new(handle)), Batches { collector, linger: CPU_LINGER })
    }

    /// Brings an image that is written or fails.
    async fn bring(embedder: &Embedder, written: Result<(), ()>) -> Option<Pending> {
        embedder.admit().await.unwrap().submit(|_| written).ok()
    }

    #[tokio::test]
    async fn an_image_that_fails_leaves_the_others_in_their_places() {
        let (embedder, mut batches) = collect(3);
        let _first = bring(&embedder, Ok(())).await.unwrap();
        assert!(bring(&embedder, Err(())).await.is_none());
        let (_third, fourth) = (bring(&embedder, Ok(())).await.unwrap(), bring(&embedder, Ok(())).await);
        for (want, taken) in [(vec![0, 2], 3), (vec![0], 1)] {
            let Batch { memory, answers } = batches.next_beside(0).unwrap();
            assert_eq!(answers.iter().map(|answer| answer.at).collect::<Vec<_>>(), want);
            assert_eq!(memory.taken(), taken);
            batches.give_back(memory);
        }
        assert!(batches.next_beside(0).is_none());
        drop(fourth);
        drop(bring(&embedder, Ok(())).await);
        assert!(batches.next_beside(0).is_none(), "of a batch that nothing awaits");
        drop(embedder);
        assert!(batches.next().is_none());
    }

    #[tokio::test]
    async fn a_batch_waits_for_what_is_being_written() {
        let (embedder, mut batches) = collect(4);
        let admission = embedder.admit().await.unwrap();
        let (begun, begins) = std::sync::mpsc::channel();
        let writing = std::thread::spawn(move || {
            admission.submit(|bytes| {
                begun.send(()).unwrap();
                std::thread::sleep(Duration::from_millis(30));
                bytes.fill(1);
                Ok::<_, Infallible>(())
            })
        });
        begins.recv().unwrap();
        assert_eq!(batches.next().unwrap().answers.len(), 1);
        assert!(writing.join().unwrap().is_ok());
    }

    #[tokio::test]
    async fn nothing_is_awaited_once_the_models_thread_has_ended() {
        let (embedder, batches) = collect(2);
        let (pending, admission) = (bring(&embedder, Ok(())).await.unwrap(), embedder.admit().await.unwrap());
        drop(batches);
        assert_eq!(pending.embedding().await, Err(EmbedError::Gone));
        let Ok(late) = admission.submit(|_| Ok::<_, Infallible>(()));
        assert_eq!(late.embedding().await, Err(EmbedError::Gone));
        assert_eq!(embedder.admit().await.err(), Some(EmbedError::Gone));
    }
}
