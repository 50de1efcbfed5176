//! Files below one root: datasets, manifests, exports.
//!
//! Owns the way from a URL to bytes. A root is a local folder (`file://`) or a bucket, or a part of one
//! (`s3://`); another scheme is refused by name. Invariants: no name leads outside its root; sizes are
//! bounded before anything is read; a file is written whole or not at all.

mod bucket;
mod connector;
mod content;
mod folder;
mod sizes;

use std::{fmt::Display, path::Path};

use bytes::Bytes;
use futures::future::join_all;
use url::Url;

use self::{bucket::Bucket, folder::Folder};
pub use self::{content::Content, sizes::Sizes};

/// The schemes of roots.
pub const SCHEMES: [&str; 2] = ["file", "s3"];

/// A file's name, and its size in bytes.
pub type Listed = (Box<str>, u64);

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

/// Why a root cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The scheme is not one this program reads.
    #[error("{0} is no folder this program can read: only file:// and s3:// URLs are supported")]
    Scheme(Url),
    /// The settings of the object store are wrong.
    #[error("{root} cannot be used: {what}")]
    Settings {
        /// The root.
        root: Url,
        /// What is wrong.
        what: String,
    },
    /// The root cannot be listed.
    #[error("{root} cannot be listed: {what}")]
    List {
        /// The root, or the folder below it.
        root: String,
        /// What the system said.
        what: String,
    },
}

/// Why a file is not read or written.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not there.
    #[error("there is no file '{name}'")]
    Missing {
        /// Its name.
        name: String,
    },
    /// It is over the limit.
    #[error("'{name}' has {bytes} bytes, over the limit of {limit}")]
    TooLarge {
        /// Its name.
        name: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The name leads outside the root, or to something that is no regular file.
    #[error("'{name}' {what}")]
    Refused {
        /// Its name.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// The storage fails now; the same call may succeed later.
    #[error("'{name}': {what}")]
    Unavailable {
        /// Its name.
        name: String,
        /// What the storage said.
        what: String,
    },
}

impl ReadError {
    /// Whether reading again later may succeed: the storage failed, not the file.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    fn missing(name: &str) -> Self {
        Self::Missing { name: name.to_owned() }
    }

    fn refused(name: &str, what: &dyn Display) -> Self {
        Self::Refused { name: name.to_owned(), what: what.to_string() }
    }

    fn unavailable(name: &str, what: &dyn Display) -> Self {
        Self::Unavailable { name: name.to_owned(), what: what.to_string() }
    }

    fn require_size(name: &str, bytes: u64, limit: u64) -> Result<(), Self> {
        if bytes > limit { Err(Self::TooLarge { name: name.to_owned(), bytes, limit }) } else { Ok(()) }
    }
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
            Root::Folder(folder) => Sizes::asking(folder.clone()),
            Root::Bucket(bucket) => Sizes::listed(bucket.sizes().await?),
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

/// Whether `name` stays below whatever folder it is relative to, as far as its text tells.
#[must_use]
pub fn is_confined(name: &str) -> bool {
    let segments_are_plain = !name.split('/').any(|segment| ["", ".", ".."].contains(&segment));
    let all_normal = Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    segments_are_plain && all_normal && !name.contains(char::is_control)
}

fn require_confined(name: &str) -> Result<(), ReadError> {
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
    fn other_schemes_are_refused_by_name() {
        let error = Files::open(&Url::parse("ftp://host/x").unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "ftp://host/x is no folder this program can read: only file:// and s3:// URLs are supported"
        );
    }

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
