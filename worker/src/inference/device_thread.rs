//! The thread that owns the model and computes its batches.
//!
//! Owns loading and the answers. Does not own which images share a batch (see `batcher`). Invariant: a batch that fails
//! fails its own images, never the process. A stopwatch shows how long a batch has been computing. A GPU computes one
//! batch while the thread collects the next and copies it to the GPU.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
};

use common::{
    embedding::{DIMENSIONS, Embedding},
    stage::Working,
};

use super::{
    batcher::{self, Batch, Batches, EmbedError, Embedder},
    stopwatch::Stopwatch,
};
use crate::model::{self, Backbone, BatchMemory, Features, ModelConfig, ModelError, TorchError, Uploaded};

/// A loaded model.
pub struct Model {
    embedder: Embedder,
    device: String,
    threads: usize,
}

impl Model {
    /// Loads the model on a thread of its own and waits until it is ready. Blocks.
    ///
    /// # Errors
    /// If the weights cannot be loaded or the device cannot be used.
    pub fn start(config: ModelConfig) -> Result<Self, ModelError> {
        Self::start_with(move || model::load(&config))
    }

    /// Starts with the model that `load` returns.
    pub(crate) fn start_with(
        load: impl FnOnce() -> Result<Backbone, ModelError> + Send + 'static,
    ) -> Result<Self, ModelError> {
        let (ready, loaded) = mpsc::channel();
        let own = move || match load() {
            Ok(backbone) => {
                let computing = Stopwatch::new();
                let (embedder, batches) = batcher::connect(&backbone, computing.clone());
                let (device, threads) = (backbone.device(), model::threads());
                // The receiver is gone if the program ends while the model loads.
                let _ = ready.send(Ok(Self { embedder, device, threads }));
                compute(&backbone, batches, &computing);
            }
            Err(error) => drop(ready.send(Err(error))),
        };
        thread::Builder::new().name("model".to_owned()).spawn(own).expect("the process may start threads");
        loaded.recv().unwrap_or_else(|_| Err(ModelError::Device("the model thread died".to_owned())))
    }

    /// Returns a handle.
    #[must_use]
    pub fn embedder(&self) -> Embedder {
        self.embedder.clone()
    }

    /// Returns the device's name: `cpu` or `cuda:N`.
    #[must_use]
    pub fn device(&self) -> String {
        self.device.clone()
    }

    /// Returns the number of compute threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }
}

/// A batch on the device.
struct InProgress<T> {
    state: Result<T, String>,
    batch: Batch,
}

impl InProgress<Uploaded> {
    fn upload(backbone: &Backbone, mut batch: Batch) -> Self {
        Self { state: guarded(|| backbone.upload(&mut batch.memory)), batch }
    }

    fn launch(self, backbone: &Backbone) -> InProgress<Features> {
        let state = self.state.and_then(|images| guarded(|| backbone.launch(&images)));
        InProgress { state, batch: self.batch }
    }
}

impl InProgress<Features> {
    /// Waits for the device.
    fn finish(self) -> InProgress<Vec<f32>> {
        let state = self.state.and_then(|features| guarded(|| features.read()));
        InProgress { state, batch: self.batch }
    }
}

/// Computes batches until every [`Embedder`] is dropped.
fn compute(backbone: &Backbone, mut batches: Batches, computing: &Stopwatch) {
    let mut running: Option<InProgress<Features>> = None;
    let mut working: Option<Working> = None;
    loop {
        let next = match &running {
            Some(running) => batches.next_beside(running.batch.memory.taken()),
            None => match batches.next() {
                Some(batch) => Some(batch),
                None => return,
            },
        };
        let uploaded = next.map(|batch| InProgress::upload(backbone, batch));
        let finished = running.take().map(InProgress::finish);
        computing.stop();
        drop(working.take());
        if let Some(uploaded) = uploaded {
            computing.start();
            working = Some(batches.work());
            running = Some(uploaded.launch(backbone));
        }
        if let Some(finished) = finished {
            batches.give_back(finished.answer());
        }
        // On a CPU, `launch` has computed the batch already, so answer at once.
        if !backbone.computes_in_background()
            && let Some(computed) = running.take()
        {
            let finished = computed.finish();
            computing.stop();
            drop(working.take());
            batches.give_back(finished.answer());
        }
    }
}

/// Runs libtorch code and turns errors and panics into messages.
fn guarded<T>(work: impl FnOnce() -> Result<T, TorchError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("it panicked".to_owned()),
    }
}

impl InProgress<Vec<f32>> {
    /// Answers, and returns the memory of the batch.
    fn answer(self) -> BatchMemory {
        let Batch { memory, answers } = self.batch;
        match self.state {
            Ok(features) => {
                let rows = features.as_chunks::<DIMENSIONS>().0;
                for answer in answers {
                    let embedding = Embedding::from_f32(&rows[answer.index]);
                    answer.send(Ok(embedding));
                }
            }
            Err(failure) => {
                tracing::error!(images = answers.len(), error = %failure, "a batch failed");
                for answer in answers {
                    answer.send(Err(EmbedError::Failed(failure.clone())));
                }
            }
        }
        memory
    }
}
