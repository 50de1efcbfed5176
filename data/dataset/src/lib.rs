//! Datasets: where they lie, what their rows say, how they are split, and what is wrong with them.
//!
//! Owns everything between a folder of images and labelled, split items. Does not know the queue, the store, the web
//! or libtorch.

pub mod check;
mod digest_map;
pub mod files;
pub mod imagefolder;
pub mod manifest;
pub mod row;
pub mod sample;
pub mod split;
pub mod target;

#[cfg(test)]
#[path = "../../../tests/src/real_data.rs"]
pub mod real_data;
