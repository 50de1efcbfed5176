//! Image bytes to the pixels that the model sees.
//!
//! Owns decoding, resizing and the threads that do it. Does not own where images lie, or what they mean.

pub mod decode;
pub mod letterbox;
pub mod placeholder;
pub mod pool;
pub mod preprocess;

#[cfg(test)]
#[path = "../../../tests/src/real_data.rs"]
pub mod real_data;
