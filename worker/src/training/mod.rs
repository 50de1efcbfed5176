//! Gradients of a run: its data, the share of one node, and the arithmetic of the head.
//!
//! Does not own the tree that fixes the order of sums (see [`common::training::tree`]) or the exchange of answers (see
//! [`crate::jobs`]). Invariant: an answer's bits depend on the run's plan and the parameters alone.

mod head;
pub mod node;
mod run_data;

pub use self::run_data::{RunData, Runs};
