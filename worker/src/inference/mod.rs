//! From images to embeddings.
//!
//! `pipeline` is the way of a chunk: read, hash, look up, decode, run the model, store. `files` is the same way without
//! a store, for measurements. `reading` is the first stage,
//! `batcher` collects images into batches, and `device_thread` owns the model that computes them.
//!
//! Does not own weights or arithmetic (see [`crate::model`]) or what becomes of an embedding (see [`crate::jobs`]).
//! Invariants: one thread owns the model of a device; a batch that fails fails its own images only.

mod batcher;
mod device_thread;
mod files;
mod pipeline;
mod reading;
mod stopwatch;

pub use self::{
    batcher::{Announcement, EmbedError, Embedder},
    device_thread::Model,
    files::FilePipeline,
    pipeline::{Embedded, Pipeline},
};
