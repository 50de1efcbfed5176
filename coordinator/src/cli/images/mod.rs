//! Images that commands are given: files, folders and patterns of this machine, standard input, URLs.
//!
//! Owns what an argument means (`given`) and how its bytes reach the coordinator (`upload`). One that cannot be read
//! fails alone.

pub(super) mod given;
pub(super) mod upload;
