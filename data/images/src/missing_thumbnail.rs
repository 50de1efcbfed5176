//! The grey picture that YouTube sends for a thumbnail that does not exist.

use common::digest::Digest;

/// SHA-256 of the grey picture that is sent where there is no thumbnail, at times with status 200.
const PLACEHOLDER: &str = "20e9aab22032d85684d7d916a1013f7c577a132a5b10ea3fd3578e8d0b28a711";
/// Its size in bytes, which spares hashing most pictures.
const PLACEHOLDER_BYTES: usize = 1_097;

/// Whether these bytes are the grey picture that stands for a missing thumbnail.
#[must_use]
pub fn is_placeholder(bytes: &[u8]) -> bool {
    bytes.len() == PLACEHOLDER_BYTES && Digest::of(bytes).to_string() == PLACEHOLDER
}
