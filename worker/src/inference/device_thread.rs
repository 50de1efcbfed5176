//! The thread that owns the model and computes its batches.
//!
//! Owns loading and the answers. Does not own which images share a batch (see `batcher`). Invariant: a batch that fails
//! fails its own images, never the process. A stopwatch shows how long a batch has been computing.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
};

use super::batcher::{self, EmbedError, Embedder, Request, Stopwatch};
use crate::model::{self, Backbone, ModelConfig, ModelError};

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
                let (embedder, mut batches) = batcher::connect(backbone.space().clone(), computing.clone());
                let (device, threads) = (backbone.device(), model::threads());
                // The receiver is gone if the program ends while the model loads.
                let _ = ready.send(Ok(Self { embedder, device, threads }));
                while let Some(batch) = batches.next() {
                    computing.start();
                    answer(&backbone, batch);
                    computing.stop();
                }
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
