//! Files under a root URL: datasets, manifests, exports.
//!
//! A root is a local folder (`file://`), or a bucket or a prefix of one (`s3://`). Invariants: names and links cannot
//! point outside their root, except to dataset roots; a confined process opens no other roots; sizes are checked before
//! a file is read; a file is written completely or not at all.
//!
//! `folder` and `bucket` are the two kinds of root (`bucket_proxy` selects the proxy of object store requests,
//! `bucket_keys` lets listings have any key), `content` reads a file in chunks, `parts` reads and writes JSON Lines
//! files, `roots` restricts the folders that users may name, and `confinement` those that a process opens.

mod bucket;
mod bucket_keys;
mod bucket_proxy;
pub mod confinement;
mod content;
mod error;
mod folder;
mod name;
pub mod parts;
pub mod roots;

use std::{path::Path, time::Duration};

use bytes::Bytes;
use common::job::args::ByteRange;
use futures::future::join_all;
use url::Url;

pub use self::{
    content::Content,
    error::{FilesError, ReadError},
    name::{Found, is_confined},
};

pub(crate) use self::folder::Resolved;
use self::{bucket::Bucket, confinement::Purpose, folder::Folder, name::require_confined};
use crate::digest_map::DigestMap;

/// Interval at which a lock is tried. A thread that waits for it would keep its process from ending.
const LOCK_INTERVAL: Duration = Duration::from_millis(100);

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
    /// Opens a dataset, or any root in a process that is not confined. It need not exist until it is read or listed.
    /// Credentials, region and endpoint of buckets come from the AWS variables.
    ///
    /// # Errors
    /// When the scheme is neither `file` nor `s3`, the process may not use the root, or the object store's settings are
    /// invalid.
    pub fn open(root: &Url) -> Result<Self, FilesError> {
        Self::open_for(root, Purpose::Dataset)
    }

    /// Like [`open`](Self::open), for the artifacts folder and folders in it.
    pub fn open_artifacts(root: &Url) -> Result<Self, FilesError> {
        Self::open_for(root, Purpose::Artifacts)
    }

    /// Opens a folder for output: in a dataset root or in the artifacts folder. No link is followed on the way to its
    /// files.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_output(root: &Url) -> Result<Self, FilesError> {
        let opened = Self::open_for(root, Purpose::Dataset);
        let opened = opened.or_else(|error| Self::open_for(root, Purpose::Artifacts).map_err(|_| error))?;
        let root = match opened.root {
            Root::Folder(folder) => Root::Folder(folder.without_links()),
            bucket @ Root::Bucket(_) => bucket,
        };
        Ok(Self { root })
    }

    fn open_for(root: &Url, purpose: Purpose) -> Result<Self, FilesError> {
        let root = match root.scheme() {
            "file" => Root::Folder(Folder::new(confinement::place(root, purpose)?)),
            "s3" => {
                confinement::require_bucket(root, purpose)?;
                Root::Bucket(Bucket::open(root)?)
            }
            _ => return Err(FilesError::Scheme(root.clone())),
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

    /// Reads `range` of a file.
    ///
    /// # Errors
    /// Also when the file is shorter.
    pub async fn read_range(&self, name: &str, range: ByteRange) -> Result<Bytes, ReadError> {
        require_confined(name)?;
        let bytes = match &self.root {
            Root::Folder(folder) => folder.read_range(name, range).await?,
            Root::Bucket(bucket) => bucket.read_range(name, range).await?,
        };
        if bytes.len() as u64 != range.bytes {
            let reason = format!("it has no {} bytes at {}", range.bytes, range.offset);
            return Err(ReadError::refused(name, &reason));
        }
        Ok(bytes)
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

    /// Calls `visit` for each file in the root, or in one subfolder. Hidden files and folders are skipped; a missing
    /// subfolder is empty. The order is undefined.
    ///
    /// # Errors
    /// When the root, or a folder in it, cannot be listed.
    pub async fn walk<S: Send + 'static>(
        &self,
        subfolder: Option<&str>,
        state: S,
        visit: fn(&mut S, Found<'_>),
    ) -> Result<S, FilesError> {
        match &self.root {
            Root::Folder(folder) => folder.walk(subfolder, state, visit).await,
            Root::Bucket(bucket) => bucket.walk(subfolder, state, visit).await,
        }
    }

    /// Returns the names of at most `limit` files in the root, without hidden ones; none if it does not exist.
    ///
    /// # Errors
    /// When the root cannot be listed.
    pub async fn some_names(&self, limit: usize) -> Result<Vec<String>, FilesError> {
        let folder = match &self.root {
            Root::Folder(folder) => folder,
            Root::Bucket(bucket) => return bucket.some_names(limit).await,
        };
        if !folder.exists().await {
            return Ok(Vec::new());
        }
        let visit = |(names, limit): &mut (Vec<String>, usize), found: Found<'_>| {
            let (Found::File { name, .. } | Found::Refused { name, .. }) = found;
            if names.len() < *limit {
                names.push(name.to_owned());
            }
        };
        folder.walk(None, (Vec::new(), limit), visit).await.map(|(names, _)| names)
    }

    /// Prepares a lookup of files, of which `known` has the sizes that a [`walk`](Self::walk) found.
    pub(crate) fn lookup(&self, known: DigestMap<u64>) -> Lookup {
        let source = match &self.root {
            Root::Folder(folder) => LookupSource::Folder(folder.clone()),
            Root::Bucket(_) => LookupSource::Listing(known),
        };
        Lookup { source }
    }

    /// Whether the file `name` exists.
    pub async fn has(&self, name: &str) -> Result<bool, FilesError> {
        match &self.root {
            Root::Folder(folder) => folder
                .has(name)
                .await
                .map_err(|error| FilesError::List { root: name.to_owned(), reason: error.to_string() }),
            Root::Bucket(bucket) => bucket.has(name).await,
        }
    }

    /// Writes a file atomically, creating its folder if needed.
    pub async fn write(&self, name: &str, bytes: Bytes) -> Result<(), ReadError> {
        require_confined(name)?;
        match &self.root {
            Root::Folder(folder) => folder.write(name, bytes).await,
            Root::Bucket(bucket) => bucket.write(name, bytes).await,
        }
    }

    /// Removes a file; succeeds if it does not exist.
    pub async fn remove(&self, name: &str) -> Result<(), ReadError> {
        require_confined(name)?;
        match &self.root {
            Root::Folder(folder) => folder.remove(name).await,
            Root::Bucket(bucket) => bucket.remove(name).await,
        }
    }

    /// Waits until no other process holds the lock `name`, and holds it until the result is dropped. Buckets have no locks.
    ///
    /// # Errors
    /// When the storage fails, or the lock is held for longer than `limit`.
    pub(crate) async fn lock(&self, name: &str, limit: Duration) -> Result<Option<std::fs::File>, ReadError> {
        let Root::Folder(folder) = &self.root else { return Ok(None) };
        let locked = async {
            loop {
                if let Some(lock) = folder.try_lock(name).await? {
                    return Ok(Some(lock));
                }
                tokio::time::sleep(LOCK_INTERVAL).await;
            }
        };
        tokio::time::timeout(limit, locked).await.unwrap_or_else(|_| {
            let reason = format!("another process has held this lock for {limit:?}");
            Err(ReadError::Unavailable { name: name.to_owned(), reason })
        })
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

/// Finds the files that rows name.
///
/// In a local folder each file is looked up when requested, which costs as much as listing. A bucket is listed once,
/// since one response has a thousand sizes; names are stored as fingerprints (see `digest_map`).
pub(crate) struct Lookup {
    source: LookupSource,
}

enum LookupSource {
    Folder(Folder),
    Listing(DigestMap<u64>),
}

impl Lookup {
    /// Returns each file, or `None` if it does not exist.
    pub(crate) async fn resolve(&self, names: Vec<String>) -> Vec<Option<Resolved>> {
        match &self.source {
            LookupSource::Folder(folder) => folder.resolve(names).await,
            LookupSource::Listing(sizes) => {
                let find = |name: &String| Some(Resolved { bytes: sizes.get(name)?, real_name: None });
                names.iter().map(find).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn output_is_written_through_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("new/out");
        let files = Files::open_output(&Url::from_directory_path(&root).unwrap()).unwrap();
        assert_eq!(files.some_names(9).await.unwrap(), Vec::<String>::new());
        files.write("part", Bytes::from_static(b"1")).await.unwrap();
        files.write("a/b/part", Bytes::from_static(b"2")).await.unwrap();
        files.write(".hidden", Bytes::new()).await.unwrap();
        let mut names = files.some_names(9).await.unwrap();
        names.sort();
        assert_eq!(names, ["a/b/part", "part"]);
        assert_eq!(files.some_names(1).await.unwrap().len(), 1);

        let elsewhere = folder.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(root.join("a"), root.join("inside")).unwrap();
        std::os::unix::fs::symlink(&elsewhere, root.join("link")).unwrap();
        std::os::unix::fs::symlink(elsewhere.join("file"), root.join("file")).unwrap();
        for name in ["inside/x", "link/x", "part/x"] {
            let error = files.write(name, Bytes::new()).await.unwrap_err();
            assert!(!error.is_retryable(), "{name}: {error}");
        }
        files.write("file", Bytes::from_static(b"3")).await.unwrap();
        assert!(root.join("file").symlink_metadata().unwrap().is_file(), "the link itself is replaced");
        assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
    }

    #[test]
    fn unsupported_scheme_is_an_error() {
        let error = Files::open(&Url::parse("ftp://host/x").unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "ftp://host/x is not supported: use a file:// or s3:// URL");
    }
}
