//! From images to embeddings.
//!
//! `pipeline` is the way of a chunk: read, hash, look up, decode, run the model, store. `reading` is its first stage,
//! `batcher` collects images into batches, and `device_thread` owns the model that computes them.

mod batcher;
mod device_thread;
mod pipeline;
mod reading;
mod stopwatch;

pub use self::{
    batcher::{Announcement, EmbedError, Embedder},
    device_thread::Model,
    pipeline::{Embedded, Pipeline},
};
