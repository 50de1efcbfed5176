//! The server: answers requests, and drives what was submitted.

mod context;
mod dead_letters;
mod fetch;
pub mod http;
mod leadership;
pub mod serve;
pub mod service;
mod similarity;
mod spaces;
mod submissions;
pub mod tokens;
mod training;
