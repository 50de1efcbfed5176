//! The sizes of many files, a page of names at a time.
//!
//! Owns where they come from: a local folder is asked for each file, since asking costs what listing does;
//! a bucket is listed once, since a thousand sizes come in one answer, and its names are kept as
//! fingerprints (see [`crate::digest_map`]).

use super::folder::Folder;
use crate::digest_map::DigestMap;

/// The sizes of the files below one root.
pub struct Sizes {
    source: Source,
}

enum Source {
    Asked(Folder),
    Listed(DigestMap<u64>),
}

impl Sizes {
    pub(super) fn asking(folder: Folder) -> Self {
        Self { source: Source::Asked(folder) }
    }

    pub(super) fn listed(sizes: DigestMap<u64>) -> Self {
        Self { source: Source::Listed(sizes) }
    }

    /// Returns the sizes of the files of these names; nothing for one that is not there.
    pub async fn of(&self, names: Vec<String>) -> Vec<Option<u64>> {
        match &self.source {
            Source::Asked(folder) => folder.sizes(names).await,
            Source::Listed(sizes) => names.iter().map(|name| sizes.get(name)).collect(),
        }
    }
}
