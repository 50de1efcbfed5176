//! The grey placeholder that YouTube sends for a thumbnail that does not exist.

use common::digest::Digest;

/// SHA-256 of the placeholder, which YouTube sometimes sends with status 200.
const PLACEHOLDER: &str = "20e9aab22032d85684d7d916a1013f7c577a132a5b10ea3fd3578e8d0b28a711";
/// Size of the placeholder: checked first, so that most images need not be hashed.
const PLACEHOLDER_BYTES: usize = 1_097;

/// Whether `bytes` are the placeholder for a missing thumbnail.
#[must_use]
pub fn is_placeholder(bytes: &[u8]) -> bool {
    bytes.len() == PLACEHOLDER_BYTES && Digest::of(bytes).to_string() == PLACEHOLDER
}
