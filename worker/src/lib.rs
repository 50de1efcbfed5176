//! The worker: consumes jobs, runs the model, writes results.
//!
//! Owns everything that computes. Only this crate knows libtorch, and only its module `model`, which the
//! default feature `model` brings; without it the program is small and carries out the other kinds.

pub mod budget;
pub mod crawl;
pub mod dispatch;
pub mod fatal;
pub mod head;
pub mod heartbeat;
pub mod holdings;
pub mod jobs;
#[cfg(feature = "model")]
pub mod model;
pub mod run;
pub mod run_data;
pub mod watch;
pub mod worker;
