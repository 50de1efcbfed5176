//! Datasets: files, metadata rows, targets, splits and checks.
//!
//! Owns everything between a folder of images and labelled, split items. Independent of RabbitMQ, Redis, HTTP
//! and libtorch.

pub mod check;
mod digest_map;
pub mod files;
pub mod imagefolder;
mod json;
pub mod manifest;
pub mod metadata;
pub mod row;
pub mod sample;
pub mod shards;
pub mod split;
pub mod target;

#[cfg(test)]
#[path = "../../../tests/src/real_data.rs"]
pub mod real_data;
