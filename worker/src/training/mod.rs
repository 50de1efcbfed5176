//! Gradients of a run: its data, the share of one node, and the arithmetic of the head.
//!
//! The tree that fixes the order of summation is in [`common::training::tree`]. Invariant: the bits of a result depend
//! only on the run's plan and the parameters.

mod head;
pub mod node;
mod run_data;

pub use self::run_data::{RunData, Runs};
