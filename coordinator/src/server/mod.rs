//! The server: answers requests, and drives what was submitted.
//!
//! `serve` is the composition root. `http` is the transport; below it, one module an idea:
//!
//! - `submissions` and `training`: what users ask for, from the request to its end; `runs` are the records of the
//!   latter, and `lookup` finds the record that a request names. `leadership` decides which coordinator drives them.
//! - `dead_letters`: discarded jobs. `uploads`: images of callers. `similarity` and `spaces`: embeddings.
//! - `status`, `doctor` and `host_backoffs`: the system as its operator sees it. `tokens`: who may use the API.
//!
//! All of them share `context` and refuse requests with `error`.

mod context;
mod dead_letters;
mod doctor;
mod error;
mod host_backoffs;
mod http;
mod leadership;
mod lookup;
mod runs;
pub mod serve;
mod similarity;
mod spaces;
mod status;
mod submissions;
pub mod tokens;
mod training;
mod uploads;
