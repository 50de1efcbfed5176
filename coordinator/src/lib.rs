//! The coordinator and its command line: accepts submissions, splits them into jobs, tracks the jobs, and
//! drives training runs.
//!
//! Embeddings and gradients are computed by workers; this crate does not depend on libtorch.

pub mod api;
pub mod cli;
mod remaining_time;
pub mod server;
