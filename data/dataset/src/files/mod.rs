//! Files under a root URL: datasets, manifests, exports.
//!
//! A root is a local folder (`file://`), or a bucket or a prefix of one (`s3://`). Invariants: names cannot
//! point outside their root; sizes are checked before a file is read; a file is written completely or not at
//! all.
//!
//! `folder` and `bucket` are the two kinds of root (`bucket_proxy` selects the proxy of object store
//! requests), `content` reads a file in chunks, `parts` reads and writes JSON Lines files, and `roots`
//! restricts the folders that users may read.

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
    name::{ListedFile, is_confined},
};

use crate::digest_map::DigestMap;

/// Supported URL schemes.
pub const SCHEMES: [&str; 2] = ["file", "s3"];

/// The files under one root. Cheap to clone.
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
    /// Opens a root, which need not exist until it is read or listed. Credentials, region and endpoint of
    /// buckets come from the AWS variables.
    ///
    /// # Errors
    /// When the scheme is neither `file` nor `s3`, or the object store's settings are invalid.
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
    pub async fn read(&self, name: &str, limit: u64) -> Result<Bytes, ReadError> {
        require_confined(name)?;
        match &self.root {
            Root::Folder(folder) => folder.read(name, limit).await,
            Root::Bucket(bucket) => bucket.read(name, limit).await,
        }
    }

    /// Whether the root exists. If it does not, its files are not necessarily missing: a volume may not be
    /// mounted. For a bucket always `true`, since reading from a missing bucket fails.
    pub async fn exists(&self) -> bool {
        match &self.root {
            Root::Folder(folder) => folder.exists().await,
            Root::Bucket(_) => true,
        }
    }

    /// Reads files of at most `limit` bytes each. Faster than single reads for small local files, which share
    /// one blocking task.
    pub async fn read_many(&self, names: Vec<String>, limit: u64) -> Vec<Result<Bytes, ReadError>> {
        match &self.root {
            Root::Folder(folder) => folder.read_many(names, limit).await,
            Root::Bucket(_) => join_all(names.iter().map(|name| self.read(name, limit))).await,
        }
    }

    /// Opens a file of at most `limit` bytes for reading in chunks.
    pub async fn open_content(&self, name: &str, limit: u64) -> Result<Content, ReadError> {
        require_confined(name)?;
        match &self.root {
            Root::Folder(folder) => folder.content(name, limit).await,
            Root::Bucket(bucket) => bucket.content(name, limit).await,
        }
    }

    /// Lists the files in the root, or in one subfolder, whose names pass `filter`, with their sizes and
    /// sorted by name. Hidden files and folders (names starting with a dot) and symbolic links to folders are
    /// skipped. A missing subfolder is empty.
    pub async fn list(
        &self,
        subfolder: Option<&str>,
        filter: fn(&str) -> bool,
    ) -> Result<Vec<ListedFile>, FilesError> {
        let mut files = match &self.root {
            Root::Folder(folder) => folder.list(subfolder, filter).await?,
            Root::Bucket(bucket) => bucket.list(subfolder, filter).await?,
        };
        files.sort_unstable();
        Ok(files)
    }

    /// Returns the size of a file, or `None` if it does not exist.
    pub async fn size(&self, name: &str) -> Result<Option<u64>, FilesError> {
        match &self.root {
            Root::Folder(folder) => {
                Ok(folder.sizes(vec![name.to_owned()]).await.into_iter().next().flatten())
            }
            Root::Bucket(bucket) => bucket.size(name).await,
        }
    }

    /// Prepares a lookup of many file sizes; lists the bucket if the root is one.
    pub async fn sizes(&self) -> Result<Sizes, FilesError> {
        Ok(match &self.root {
            Root::Folder(folder) => Sizes { source: SizeSource::Folder(folder.clone()) },
            Root::Bucket(bucket) => Sizes { source: SizeSource::Listing(bucket.sizes().await?) },
        })
    }

    /// Writes a file atomically, creating its folder if needed.
    pub async fn write(&self, name: &str, bytes: Bytes) -> Result<(), ReadError> {
        require_confined(name)?;
        match &self.root {
            Root::Folder(folder) => folder.write(name, bytes).await,
            Root::Bucket(bucket) => bucket.write(name, bytes).await,
        }
    }

    /// Copies the local file `from` atomically, without loading it into memory.
    pub async fn write_file(&self, name: &str, from: &Path) -> Result<(), ReadError> {
        require_confined(name)?;
        match &self.root {
            Root::Folder(folder) => folder.write_file(name, from).await,
            Root::Bucket(bucket) => bucket.write_file(name, from).await,
        }
    }
}

/// The sizes of the files that [`Files::list`] would list.
///
/// In a local folder each size is read when requested, which costs as much as listing. A bucket is listed
/// once, since one response has a thousand sizes; names are stored as fingerprints (see
/// `digest_map`).
pub struct Sizes {
    source: SizeSource,
}

enum SizeSource {
    Folder(Folder),
    Listing(DigestMap<u64>),
}

impl Sizes {
    /// Returns the size of each file, or `None` if it does not exist.
    pub async fn of(&self, names: Vec<String>) -> Vec<Option<u64>> {
        match &self.source {
            SizeSource::Folder(folder) => folder.sizes(names).await,
            SizeSource::Listing(sizes) => names.iter().map(|name| sizes.get(name)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsupported_scheme_is_an_error() {
        let error = Files::open(&Url::parse("ftp://host/x").unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "ftp://host/x is not supported: use a file:// or s3:// URL");
    }
}
