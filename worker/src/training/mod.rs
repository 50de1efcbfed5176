//! Gradients of a run: its data, and the arithmetic of the head.

pub mod head;
pub mod run_data;
