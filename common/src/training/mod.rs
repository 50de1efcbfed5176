//! The training protocol, and the tree that fixes the order of its sums.

pub mod protocol;
pub mod tree;
