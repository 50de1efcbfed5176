//! What coordinator and worker share: job types, the broker client, the store, configuration and logging.
//!
//! Owns every name that crosses a process boundary. Does not know libtorch, the HTTP API or image files.

pub mod broker;
pub mod byte_budget;
pub mod ca_certificates;
pub mod config;
pub mod csv_formula;
pub mod digest;
pub mod embedding;
pub mod health;
pub mod ids;
pub mod job;
pub mod listener;
pub mod logging;
pub mod priority;
pub mod proxy;
pub mod shutdown;
pub mod stage;
pub mod store;
pub mod terminal_escape;
pub mod topology;
pub mod training;
