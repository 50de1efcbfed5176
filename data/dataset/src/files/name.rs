//! Names of files: paths relative to a root.
//!
//! Rejects names that point outside the root. Symbolic links are checked in `folder`.

use std::{
    ffi::OsStr,
    fmt::Write,
    os::unix::ffi::OsStrExt,
    path::{Component, Path},
};

use super::error::ReadError;

/// What a walk of a root finds. Hidden files and folders, whose names begin with a dot, are not found.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    File {
        name: &'a str,
        /// `None` in a local folder, where a size costs as much to read as the name.
        bytes: Option<u64>,
    },
    /// A file or folder that cannot be read.
    Refused {
        /// With unprintable bytes escaped.
        name: &'a str,
        is_folder: bool,
        reason: &'a str,
    },
}

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

/// Returns a name with control characters, and bytes that are not UTF-8, as `\xNN`.
pub(super) fn escaped(name: &OsStr) -> String {
    let mut text = String::new();
    let escape = |text: &mut String, bytes: &[u8]| {
        for byte in bytes {
            let _ = write!(text, "\\x{byte:02x}");
        }
    };
    for chunk in name.as_bytes().utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                escape(&mut text, character.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                text.push(character);
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
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

    #[test]
    fn only_unprintable_bytes_are_escaped() {
        assert_eq!(escaped(OsStr::from_bytes("여행 1.jpg".as_bytes())), "여행 1.jpg");
        assert_eq!(escaped(OsStr::from_bytes(b"Ni\xf1o\n.jpg")), "Ni\\xf1o\\x0a.jpg");
    }
}
