//! Pictures: from bytes to the pixels that the model sees, and everything else that needs an image library.
//!
//! Owns decoding, encoding, resizing, comparing and drawing, and the threads that decode. The only crate that names
//! `turbojpeg`, `image`, `image_hasher` and `embedded_graphics`. Does not own where images are stored, or what they mean.

pub mod canvas;
pub mod decode;
pub mod encode;
pub mod letterbox;
pub mod missing_thumbnail;
pub mod perceptual_hash;
pub mod picture;
pub mod pool;
pub mod preprocess;

#[cfg(test)]
#[path = "../../../tests/src/real_data.rs"]
pub mod real_data;
