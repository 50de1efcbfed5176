//! Names of files, relative to a root.
//!
//! Owns which of them stay below it, as far as their text tells.

use std::path::{Component, Path};

use super::error::ReadError;

/// A file's name, and its size in bytes.
pub type Listed = (Box<str>, u64);

/// Whether `name` stays below whatever folder it is relative to, as far as its text tells.
#[must_use]
pub fn is_confined(name: &str) -> bool {
    let segments_are_plain = !name.split('/').any(|segment| ["", ".", ".."].contains(&segment));
    let all_normal = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    segments_are_plain && all_normal && !name.contains(char::is_control)
}

pub(super) fn require_confined(name: &str) -> Result<(), ReadError> {
    if is_confined(name) {
        Ok(())
    } else {
        Err(ReadError::refused(name, &"is no name of a file below its dataset"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below_their_root() {
        for name in ["a", "a/b.jpg", "여행 #1.jpg", "..a", "a..b/c"] {
            assert!(is_confined(name), "{name}");
        }
        for name in ["", "/", "/a", "../a", "a/../b", "./a", "a//b", "a/", "a\0b", "a\nb"] {
            assert!(!is_confined(name), "{name:?}");
        }
    }
}
