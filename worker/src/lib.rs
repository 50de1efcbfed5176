//! The worker: consumes jobs, runs the model, writes results.
//!
//! Owns everything that computes. Only this crate knows libtorch, and only its module `model`, which the
//! default feature `model` brings; without it the program is small and carries out the other kinds.

#[cfg(feature = "model")]
pub mod bench;
#[cfg(feature = "model")]
pub mod inference;
pub mod jobs;
#[cfg(feature = "model")]
pub mod model;
mod outcome;
pub mod queue;
pub mod run;
pub mod training;
pub mod worker;
