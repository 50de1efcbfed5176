//! Files below one root: datasets, manifests, exports.
//!
//! Owns the way from a URL to bytes. A root is a local folder (`file://`) or a bucket, or a part of one
//! (`s3://`); another scheme is refused by name. Invariants: no name leads outside its root; sizes are
//! bounded before anything is read; a file is written whole or not at all.
//!
//! `folder` and `bucket` are the two kinds of root (`bucket_proxy`: which way to an object store is taken), `content`
//! is a file that is read piece by piece, `parts` reads and writes files of JSON lines, and `roots` says which folders
//! a user may name.

mod bucket;
mod bucket_proxy;
mod content;
mod error;
mod folder;
mod name;
pub mod parts;
pub mod roots;

use std::path::Path;

use bytes::Bytes;
use futures::future::join_all;
use url::Url;

use self::{bucket::Bucket, folder::Folder, name::require_confined};
pub use self::{
    content::Content,
    error::{FilesError, ReadError},
    name::{Listed, is_confined},
};

use crate::fingerprint_map::Ledger;

/// The schemes of roots.
pub const SCHEMES: [&str; 2] = ["file", "s3"];

/// The files below one root. Clones share it.
#[derive(Clone, Debug)]
pub struct Files {
    root: Root,
}

#[derive(Clone, Debug)]
enum Root {
    Folder(Folder),
    Bucket(Bucket),
}

impl Files {
    /// Opens a root; it need not exist until it is read or listed. Buckets take credentials, region and
    /// endpoint from the usual `AWS_…` variables.
    ///
    /// # Errors
    /// When the scheme is neither `file` nor `s3`, or the object store's settings are wrong.
    pub fn open(root: &Url) -> Result<Self, FilesError> {
        let scheme = || FilesError::Scheme(root.clone());
        let root = match root.scheme() {
            "file" => Root::Folder(Folder::new(root.to_file_path().map_err(|()| scheme())?)),
            "s3" => Root::Bucket(Bucket::open(root)?),
            _ => return Err(scheme()),
        };
        Ok(Self { root })
    }

    /// Reads a file of at most `limit` bytes.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read(&self, name: &str, limit: u64) -> Result<Bytes, ReadError> {
        require_confined(name)?;
        match &self.root {
            Root::Folder(folder) => folder.read(name, limit).await,
            Root::Bucket(bucket) => bucket.read(name, limit).await,
        }
    }

    /// Whether the root is there. One that is not says nothing about the files below it: a volume may not be
    /// mounted, and a bucket tells by failing.
    pub async fn is_there(&self) -> bool {
        match &self.root {
            Root::Folder(folder) => folder.is_there().await,
            Root::Bucket(_) => true,
        }
    }

    /// Reads files of at most `limit` bytes each. Small files of a local folder cost less together: they share
    /// the way to a thread that may block.
    pub async fn read_together(&self, names: Vec<String>, limit: u64) -> Vec<Result<Bytes, ReadError>> {
        match &self.root {
            Root::Folder(folder) => folder.read_together(names, limit).await,
            Root::Bucket(_) => join_all(names.iter().map(|name| self.read(name, limit))).await,
        }
    }

    /// Opens a file of at most `limit` bytes, to be read piece by piece.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn open_content(&self, name: &str, limit: u64) -> Result<Content, ReadError> {
        require_confined(name)?;
        match &self.root {
            Root::Folder(folder) => folder.content(name, limit).await,
            Root::Bucket(bucket) => bucket.content(name, limit).await,
        }
    }

    /// Lists the files below the root, or below one folder of it, that are `wanted` by their names: sorted by
    /// name, with `/` between folders, and with their sizes. What is hidden (a name that begins with a dot)
    /// and symbolic links to folders are passed over; a folder `below` that is not there holds nothing.
    ///
    /// # Errors
    /// When the root cannot be listed.
    pub async fn list(
        &self,
        below: Option<&str>,
        wanted: fn(&str) -> bool,
    ) -> Result<Vec<Listed>, FilesError> {
        let mut listed = match &self.root {
            Root::Folder(folder) => folder.list(below, wanted).await?,
            Root::Bucket(bucket) => bucket.list(below, wanted).await?,
        };
        listed.sort_unstable();
        Ok(listed)
    }

    /// Returns the size of one file; nothing when it is not there.
    ///
    /// # Errors
    /// When the object store fails.
    pub async fn size(&self, name: &str) -> Result<Option<u64>, FilesError> {
        match &self.root {
            Root::Folder(folder) => {
                Ok(folder.sizes(vec![name.to_owned()]).await.into_iter().next().flatten())
            }
            Root::Bucket(bucket) => bucket.size(name).await,
        }
    }

    /// Prepares to tell the sizes of files that [`Files::list`] would list.
    ///
    /// # Errors
    /// When a bucket cannot be listed.
    pub async fn sizes(&self) -> Result<Sizes, FilesError> {
        Ok(match &self.root {
            Root::Folder(folder) => Sizes { source: Source::Asked(folder.clone()) },
            Root::Bucket(bucket) => Sizes { source: Source::Listed(bucket.sizes().await?) },
        })
    }

    /// Writes a file whole or not at all, making its folder where needed.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn write(&self, name: &str, bytes: Bytes) -> Result<(), ReadError> {
        require_confined(name)?;
        match &self.root {
            Root::Folder(folder) => folder.write(name, bytes).await,
            Root::Bucket(bucket) => bucket.write(name, bytes).await,
        }
    }

    /// Writes a copy of the local file `from`, whole or not at all, without holding it in memory.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn write_file(&self, name: &str, from: &Path) -> Result<(), ReadError> {
        require_confined(name)?;
        match &self.root {
            Root::Folder(folder) => folder.write_file(name, from).await,
            Root::Bucket(bucket) => bucket.write_file(name, from).await,
        }
    }
}

/// The sizes of the files below one root, told a page of names at a time.
///
/// A local folder is asked for each file, since asking costs what listing does; a bucket is listed once, since a
/// thousand sizes come in one answer, and its names are kept as fingerprints (see `fingerprint_map`).
pub struct Sizes {
    source: Source,
}

enum Source {
    Asked(Folder),
    Listed(Ledger<u64>),
}

impl Sizes {
    /// Returns the sizes of the files of these names; nothing for one that is not there.
    pub async fn of(&self, names: Vec<String>) -> Vec<Option<u64>> {
        match &self.source {
            Source::Asked(folder) => folder.sizes(names).await,
            Source::Listed(sizes) => names.iter().map(|name| sizes.get(name)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_schemes_are_refused_by_name() {
        let error = Files::open(&Url::parse("ftp://host/x").unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "ftp://host/x is no folder this program can read: only file:// and s3:// URLs are supported"
        );
    }
}
