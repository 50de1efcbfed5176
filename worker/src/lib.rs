//! The worker: consumes jobs, runs the model, writes results.
//!
//! Only this crate depends on libtorch, and only in its module `model`, behind the default feature `model`. Without
//! the feature, the program is small and supports the other job kinds.

pub mod attempt;
#[cfg(feature = "model")]
pub mod bench;
#[cfg(feature = "model")]
pub mod inference;
pub mod jobs;
#[cfg(feature = "model")]
pub mod model;
mod outcome;
mod panic_text;
pub mod queue;
pub mod run;
pub mod training;
pub mod worker;
