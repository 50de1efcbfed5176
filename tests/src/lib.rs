//! What the integration tests share: servers, virtual hosts, processes and the cluster they make.
//!
//! Owns no product code and no stand-ins: RabbitMQ, Redis and libtorch are real.

pub mod broker_admin;
pub mod cluster;
pub mod environment;
pub mod process;
pub mod python;
