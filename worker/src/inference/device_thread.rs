//! The thread that owns the model and computes its batches.
//!
//! Owns loading and the answers. Does not own which images share a batch (see `batcher`). Invariant: a batch that fails
//! fails its own images, never the process. A stopwatch shows how long a batch has been computing. A GPU computes one
//! batch while the thread collects and stages the next.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
};

use common::embedding::Embedding;
use tokio::sync::oneshot;

use super::batcher::{self, Batches, EmbedError, Embedder, Request, Stopwatch};
use crate::model::{self, Backbone, Features, ModelConfig, ModelError, Staged, TorchError};

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
        let (ready, loaded) = mpsc::channel();
        let own = move || match model::load(&config) {
            Ok(backbone) => {
                let computing = Stopwatch::new();
                let (embedder, batches) =
                    batcher::connect(backbone.space().clone(), backbone.batch(), computing.clone());
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

type Answer = oneshot::Sender<Result<Embedding, EmbedError>>;

/// A batch in progress.
struct Batch<T> {
    state: Result<T, String>,
    answers: Vec<Answer>,
}

impl Batch<Staged> {
    fn stage(backbone: &Backbone, requests: Vec<Request>) -> Self {
        let (pixels, answers): (Vec<_>, Vec<_>) =
            requests.into_iter().map(|request| (request.pixels, request.answer)).unzip();
        Self { state: guarded(|| backbone.stage(&pixels)), answers }
    }

    fn launch(self, backbone: &Backbone) -> Batch<Features> {
        let state = self.state.and_then(|staged| guarded(|| backbone.launch(&staged)));
        Batch { state, answers: self.answers }
    }
}

impl Batch<Features> {
    /// Waits for the device.
    fn finish(self) -> Batch<Vec<f32>> {
        let state = self.state.and_then(|features| guarded(|| features.read()));
        Batch { state, answers: self.answers }
    }
}

/// Computes batches until every [`Embedder`] is dropped.
fn compute(backbone: &Backbone, mut batches: Batches, computing: &Stopwatch) {
    let mut running: Option<Batch<Features>> = None;
    loop {
        let requests = match &running {
            Some(running) => batches.next_beside(running.answers.len()),
            None => match batches.next() {
                Some(requests) => Some(requests),
                None => return,
            },
        };
        let staged = requests.map(|requests| Batch::stage(backbone, requests));
        let finished = running.take().map(Batch::finish);
        computing.stop();
        if let Some(staged) = staged {
            computing.start();
            running = Some(staged.launch(backbone));
        }
        if let Some(finished) = finished {
            finished.answer();
        }
        // On a CPU, `launch` has computed the batch already, so answer at once.
        if !backbone.computes_in_background()
            && let Some(computed) = running.take()
        {
            let finished = computed.finish();
            computing.stop();
            finished.answer();
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

impl Batch<Vec<f32>> {
    fn answer(self) {
        match self.state {
            Ok(features) => {
                for (answer, embedding) in self.answers.into_iter().zip(model::embeddings(&features)) {
                    // The caller may have given up.
                    let _ = answer.send(Ok(embedding));
                }
            }
            Err(failure) => {
                tracing::error!(images = self.answers.len(), error = %failure, "a batch failed");
                for answer in self.answers {
                    let _ = answer.send(Err(EmbedError::Failed(failure.clone())));
                }
            }
        }
    }
}
