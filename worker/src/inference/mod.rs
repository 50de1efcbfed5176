//! The thread that owns the model, and the batches it is given.

mod owner;
mod stopwatch;

pub use self::owner::{Announcement, EmbedError, Embedder, Model};
