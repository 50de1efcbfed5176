//! Names of files: paths relative to a root.
//!
//! Rejects names that point outside the root. Symbolic links are checked in `folder`.

use std::path::{Component, Path};

use super::error::ReadError;

/// A file's name and its size in bytes.
pub type ListedFile = (Box<str>, u64);

/// Whether `name` is a relative path without `.`, `..`, empty segments or control characters.
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
        Err(ReadError::refused(name, &"it is not a path inside the dataset"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_outside_the_root_are_rejected() {
        for name in ["a", "a/b.jpg", "여행 #1.jpg", "..a", "a..b/c"] {
            assert!(is_confined(name), "{name}");
        }
        for name in ["", "/", "/a", "../a", "a/../b", "./a", "a//b", "a/", "a\0b", "a\nb"] {
            assert!(!is_confined(name), "{name:?}");
        }
    }
}
