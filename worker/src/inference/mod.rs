//! From images to embeddings.
//!
//! `pipeline` processes a chunk: read, hash, look up, decode, run the model, store. `files` is the same without a store,
//! for benchmarks. `reading` is the first stage, `batcher` collects images into batches, `device_thread` owns the model, and
//! a `stopwatch` shows whether it is stuck. Weights and arithmetic are in [`crate::model`]. Invariants: one thread owns
//! the model of a device; a failing batch fails only its own images.

mod batcher;
mod device_thread;
mod files;
mod pipeline;
mod reading;
mod stopwatch;

pub use self::{
    batcher::{EmbedError, Embedder, ExpectedItems},
    device_thread::Model,
    files::FilePipeline,
    pipeline::{Embedded, Pipeline},
};
