//! Gradients of a run: its data, the share of one node, and the arithmetic of the head.

mod head;
pub mod node;
mod run_data;

pub use self::run_data::{RunData, Runs};
