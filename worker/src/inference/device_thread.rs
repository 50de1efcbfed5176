//! The thread that owns the model and computes its batches.
//!
//! Owns loading and the answers. Does not own which images share a batch (see `batcher`). Invariant: a batch that fails
//! fails its own images, unless no later batch can succeed; images that do not fit into the device's memory together are
//! computed in smaller batches. A stopwatch shows how long a batch has been computing. A GPU computes one batch while the
//! thread collects the next and copies it to the GPU.

use std::{
    ops::{ControlFlow, Range},
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
use crate::{
    model::{self, Backbone, Fault, Features, ModelConfig, ModelError, TorchError, Uploaded},
    panic_text::panic_text,
};

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

/// Computes batches until every [`Embedder`] is dropped or the device is lost.
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
        if let Some(finished) = finished
            && finished.answer(backbone, &batches).is_break()
        {
            return;
        }
        // On a CPU, `launch` has computed the batch already, so answer at once.
        if !backbone.computes_in_background()
            && let Some(computed) = running.take()
        {
            let finished = computed.finish();
            computing.stop();
            drop(working.take());
            if finished.answer(backbone, &batches).is_break() {
                return;
            }
        }
    }
}

/// Runs libtorch code and turns errors and panics into messages.
fn guarded<T>(work: impl FnOnce() -> Result<T, TorchError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(format!("it panicked: {}", panic_text(&*panic))),
    }
}

impl InProgress<Vec<f32>> {
    /// Answers and gives the memory of the batch back. Breaks if the device is lost; then nothing is answered, so that the
    /// jobs of the images wait until the process ends.
    fn answer(self, backbone: &Backbone, batches: &Batches) -> ControlFlow<()> {
        let Batch { mut memory, answers } = self.batch;
        let images = memory.taken();
        let is_too_large = |failure: &str| Fault::of(failure) == Fault::OutOfMemory && images > 1;
        let state = match self.state {
            Err(failure) if is_too_large(&failure) => {
                let compute = |part: Range<usize>| guarded(|| backbone.features_of(&mut memory, part));
                in_halves(0..images, compute).map(|(features, fit)| {
                    tracing::warn!(
                        images,
                        "the device has too little memory; later batches have at most {fit} images"
                    );
                    batches.limit(fit);
                    features
                })
            }
            state => state,
        };
        if let Err(failure) = &state
            && Fault::of(failure) == Fault::DeviceLost
        {
            tracing::error!(error = %failure, "the GPU failed; the worker has to be restarted");
            batches.fail(format!("the GPU failed: {failure}"));
            return ControlFlow::Break(());
        }
        match state {
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
        batches.give_back(memory);
        ControlFlow::Continue(())
    }
}

/// Computes images in halves, and those in halves, until they fit into the device's memory. Returns the features and the
/// size of the largest part that fitted.
fn in_halves(
    images: Range<usize>,
    mut compute: impl FnMut(Range<usize>) -> Result<Vec<f32>, String>,
) -> Result<(Vec<f32>, usize), String> {
    let (mut features, mut fit) = (Vec::new(), 0);
    // The next part is the last one.
    let half = |part: &Range<usize>| part.start + part.len().div_ceil(2);
    let mut parts = vec![half(&images)..images.end, images.start..half(&images)];
    while let Some(part) = parts.pop() {
        match compute(part.clone()) {
            Ok(computed) => {
                fit = fit.max(part.len());
                features.extend(computed);
            }
            Err(failure) if part.len() > 1 && Fault::of(&failure) == Fault::OutOfMemory => {
                parts.extend([half(&part)..part.end, part.start..half(&part)]);
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok((features, fit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUT_OF_MEMORY: &str =
        "CUDA out of memory. Tried to allocate 98.00 MiB. GPU 0 has a total capacity of 79.19 GiB";

    #[test]
    fn images_that_do_not_fit_are_computed_in_halves() {
        for (images, memory, want_fit) in [(64, 40, 32), (64, 16, 16), (7, 2, 2), (2, 1, 1), (256, 255, 128)]
        {
            let compute = |part: Range<usize>| match part.len() > memory {
                true => Err(OUT_OF_MEMORY.to_owned()),
                false => Ok(part.map(|image| image as f32).collect()),
            };
            let (features, fit) = in_halves(0..images, compute).unwrap();
            assert_eq!(features, (0..images).map(|image| image as f32).collect::<Vec<_>>());
            assert_eq!(fit, want_fit, "{images} images, memory for {memory}");
        }
        let full = in_halves(0..4, |_| Err(OUT_OF_MEMORY.to_owned()));
        assert_eq!(full, Err(OUT_OF_MEMORY.to_owned()), "one image does not fit");
        let other =
            in_halves(0..4, |part| if part.start == 0 { Ok(vec![]) } else { Err("other".to_owned()) });
        assert_eq!(other, Err("other".to_owned()));
    }
}
