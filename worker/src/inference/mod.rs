//! From images to embeddings.
//!
//! `batcher` collects images into batches, and `device_thread` owns the model that computes them.

mod batcher;
mod device_thread;
mod stopwatch;

pub use self::{
    batcher::{Announcement, EmbedError, Embedder},
    device_thread::Model,
};
