//! The coordinator: takes submissions, splits them into jobs, tracks them, drives training runs, and is
//! its own command line.
//!
//! Owns decisions about work; does not compute embeddings or gradients and does not know libtorch.

pub mod api;
pub mod cli;
pub mod server;
