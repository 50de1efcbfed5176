//! Images: decoding, preprocessing for the model, and everything else that needs an image library.
//!
//! Owns decoding, encoding, resizing, perceptual hashes and drawing, and the thread pool for them. The only
//! crate that depends on `turbojpeg`, `image`, `image_hasher` and `embedded_graphics`. Does not own storage,
//! or what an image shows.

pub mod canvas;
pub mod decode;
pub mod decoder;
pub mod encode;
pub mod letterbox;
pub mod missing_thumbnail;
pub mod perceptual_hash;
pub mod picture;
pub mod pool;
pub mod preprocess;
mod resize;

#[cfg(test)]
#[path = "../../../tests/src/real_data.rs"]
pub mod real_data;
