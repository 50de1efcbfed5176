//! Images as command-line arguments: files, folders and patterns of this machine, standard input, URLs.
//!
//! Parses the arguments and uploads the images. An image that cannot be read fails without failing the others.

pub(super) mod argument;
pub(super) mod upload;
