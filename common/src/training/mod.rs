//! The training protocol and its reduction tree.

pub mod protocol;
pub mod tree;
