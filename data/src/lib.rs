//! Datasets: where they lie, what their rows say, how they are split, and which pixels the model sees.
//!
//! Owns everything between images, in a folder or on the web, and numbers. Does not know the queue, the store or
//! libtorch.

pub mod check;
pub mod decode;
pub mod fetch;
pub mod files;
pub mod imagefolder;
pub mod import;
pub mod kept;
mod ledger;
pub mod manifest;
pub mod parts;
pub mod preprocess;
pub mod robots;
pub mod roots;
pub mod sample;
pub mod split;
pub mod target;
pub mod youtube;
