//! From images to embeddings.
//!
//! `pipeline` is the way of a chunk: read, hash, look up, decode, run the model, store. `reading` is its first stage,
//! `batcher` collects images into batches, and `device_thread` owns the model that computes them.
//!
//! Does not own weights or arithmetic (see [`crate::model`]) or what becomes of an embedding (see [`crate::jobs`]).
//! Invariants: one thread owns the model of a device; a batch that fails fails its own images only.

mod batcher;
mod device_thread;
mod pipeline;
mod reading;

pub use self::{
    batcher::{Announcement, EmbedError, Embedder},
    device_thread::Model,
    pipeline::{Embedded, Pipeline},
};
