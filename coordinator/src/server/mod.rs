//! The server: answers API requests and drives submissions and training runs.
//!
//! `serve` is the composition root and `http` the transport. The operations below it:
//!
//! - `submissions` and `training` take work from request to result. `runs` holds the records of training runs;
//!   `lookup` finds the record that a request names; `leadership` elects the coordinator that drives the work, and
//!   `feeding` divides the queues among submissions.
//! - `dead_letters`: discarded jobs. `uploads`: uploaded images. `similarity` and `spaces`: embeddings.
//! - `status`, `doctor` and `host_backoffs`: monitoring. `tokens`: access tokens.
//!
//! All of them share `context`, bound their memory with `shared_budget` and `pages`, and reject requests with `error`.
//! Operations that use the store fail with `RequestError::Unavailable` if Redis is unavailable.

mod context;
mod dead_letters;
mod doctor;
mod error;
mod feeding;
mod host_backoffs;
mod http;
mod leadership;
mod lookup;
mod memory;
mod pages;
mod runs;
pub mod serve;
mod shared_budget;
mod similarity;
mod spaces;
mod status;
mod submissions;
pub mod tokens;
mod training;
mod uploads;
