//! Files below one root: datasets, manifests.
//!
//! Owns the way from a URL to bytes. Today a root is a local folder (`file://`); another scheme is refused
//! by name. Invariants: no name leads outside its root, neither by `..` nor by a symbolic link; nothing
//! but a regular file is read, so no name can block a worker; sizes are bounded before anything is read.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Component, Path, PathBuf},
};

use bytes::Bytes;
use url::Url;

/// Deepest folder that is listed.
const MAX_DEPTH: usize = 8;

/// The files below one root. Clones share it.
#[derive(Clone, Debug)]
pub struct Files {
    root: PathBuf,
}

/// Why a root cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The scheme is not one this program reads.
    #[error("{0} is no folder this program can read: only file:// URLs are supported")]
    Scheme(Url),
    /// The folder cannot be listed.
    #[error("{folder} cannot be listed: {error}")]
    List {
        /// The folder.
        folder: String,
        /// What the system said.
        error: io::Error,
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
        what: &'static str,
    },
    /// The system refuses or fails.
    #[error("'{name}': {error}")]
    System {
        /// Its name.
        name: String,
        /// What the system said.
        error: io::Error,
    },
}

impl ReadError {
    /// Whether reading again later may succeed: the storage failed, not the file.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::System { error, .. } => !matches!(error.kind(), io::ErrorKind::PermissionDenied),
            Self::Missing { .. } | Self::TooLarge { .. } | Self::Refused { .. } => false,
        }
    }

    fn refused(name: &str, what: &'static str) -> Self {
        Self::Refused { name: name.to_owned(), what }
    }

    fn system(name: &str, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing { name: name.to_owned() },
            _ => Self::System { name: name.to_owned(), error },
        }
    }
}

impl Files {
    /// Opens a root; it need not exist until it is read or listed.
    ///
    /// # Errors
    /// When the scheme is not `file`.
    pub fn open(root: &Url) -> Result<Self, FilesError> {
        let path = (root.scheme() == "file").then(|| root.to_file_path().ok()).flatten();
        path.map(|root| Self { root }).ok_or_else(|| FilesError::Scheme(root.clone()))
    }

    /// Reads a file of at most `limit` bytes.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read(&self, name: &str, limit: u64) -> Result<Bytes, ReadError> {
        let (files, name) = (self.clone(), name.to_owned());
        let reading = tokio::task::spawn_blocking(move || files.read_blocking(&name, limit));
        reading.await.expect("reading does not panic")
    }

    /// Lists the regular files below the root, by name with `/` between folders, with their sizes. Hidden
    /// files and symbolic links to folders are passed over.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub async fn list(&self) -> Result<Vec<(String, u64)>, FilesError> {
        let root = self.root.clone();
        let listing = tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            list_folder(&root, "", MAX_DEPTH, &mut found)?;
            Ok(found)
        });
        listing.await.expect("listing does not panic")
    }

    /// Writes a file whole or not at all, making its folder where needed.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn write(&self, name: &str, bytes: Bytes) -> Result<(), ReadError> {
        let (files, name) = (self.clone(), name.to_owned());
        let writing = tokio::task::spawn_blocking(move || {
            let path = files.root.join(relative(&name)?);
            let folder = path.parent().expect("a file below a root has a folder");
            let write = || -> io::Result<()> {
                fs::create_dir_all(folder)?;
                let mut file = tempfile::NamedTempFile::new_in(folder)?;
                file.write_all(&bytes)?;
                file.as_file().sync_data()?;
                file.persist(&path)?;
                Ok(())
            };
            write().map_err(|error| ReadError::System { name, error })
        });
        writing.await.expect("writing does not panic")
    }

    fn read_blocking(&self, name: &str, limit: u64) -> Result<Bytes, ReadError> {
        let path = self.root.join(relative(name)?);
        let real = path.canonicalize().map_err(|error| ReadError::system(name, error))?;
        if real != path {
            let root = self.root.canonicalize().map_err(|error| ReadError::system(name, error))?;
            if !real.starts_with(root) {
                return Err(ReadError::refused(name, "leads outside its dataset"));
            }
        }
        // A FIFO opened without O_NONBLOCK would block until somebody writes to it.
        let mut options = File::options();
        options.read(true).custom_flags(libc::O_NONBLOCK);
        let file = options.open(&real).map_err(|error| ReadError::system(name, error))?;
        let metadata = file.metadata().map_err(|error| ReadError::system(name, error))?;
        if !metadata.is_file() {
            return Err(ReadError::refused(name, "is no regular file"));
        }
        let too_large = |bytes| ReadError::TooLarge { name: name.to_owned(), bytes, limit };
        if metadata.len() > limit {
            return Err(too_large(metadata.len()));
        }
        let mut bytes = Vec::with_capacity(metadata.len() as usize);
        file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| ReadError::system(name, error))?;
        if bytes.len() as u64 > limit {
            return Err(too_large(bytes.len() as u64));
        }
        Ok(Bytes::from(bytes))
    }
}

/// Whether `name` stays below whatever folder it is relative to, as far as its text tells.
#[must_use]
pub fn is_confined(name: &str) -> bool {
    relative(name).is_ok()
}

fn relative(name: &str) -> Result<&Path, ReadError> {
    let path = Path::new(name);
    let confined = path.components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || name.contains('\0') || !confined {
        return Err(ReadError::refused(name, "is no name of a file below its dataset"));
    }
    Ok(path)
}

fn list_folder(
    folder: &Path,
    prefix: &str,
    depth: usize,
    found: &mut Vec<(String, u64)>,
) -> Result<(), FilesError> {
    let failed = |error| FilesError::List { folder: folder.display().to_string(), error };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') {
            continue;
        }
        let name = format!("{prefix}{name}");
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() && depth > 0 {
            list_folder(&entry.path(), &format!("{name}/"), depth - 1, found)?;
        } else if !kind.is_dir() {
            // Follows a link to a file; whether it leads outside is judged when it is read.
            match fs::metadata(entry.path()) {
                Ok(metadata) if metadata.is_file() => found.push((name, metadata.len())),
                Ok(_) | Err(_) => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn root() -> (tempfile::TempDir, Files) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("thumbnails")).unwrap();
        fs::write(root.join("thumbnails/a.jpg"), b"12345").unwrap();
        fs::write(folder.path().join("secret"), b"secret").unwrap();
        let files = Files::open(&Url::from_directory_path(&root).unwrap()).unwrap();
        (folder, files)
    }

    #[tokio::test]
    async fn files_are_read_within_their_limit() {
        let (_folder, files) = root();
        assert_eq!(files.read("thumbnails/a.jpg", 5).await.unwrap(), "12345");
        assert!(matches!(
            files.read("thumbnails/a.jpg", 4).await,
            Err(ReadError::TooLarge { bytes: 5, limit: 4, .. })
        ));
        assert!(matches!(files.read("thumbnails/b.jpg", 4).await, Err(ReadError::Missing { .. })));
        assert!(matches!(files.read("thumbnails/a.jpg/x", 4).await, Err(ReadError::Missing { .. })));
    }

    #[tokio::test]
    async fn no_name_leads_outside() {
        let (folder, files) = root();
        symlink(folder.path().join("secret"), folder.path().join("root/link")).unwrap();
        symlink("thumbnails/a.jpg", folder.path().join("root/inner")).unwrap();
        for name in ["../secret", "/etc/passwd", "", "thumbnails/../../secret", "./x", "link", "a\0b"] {
            let refused = files.read(name, 100).await;
            assert!(matches!(refused, Err(ReadError::Refused { .. })), "{name}: {refused:?}");
        }
        assert_eq!(files.read("inner", 100).await.unwrap(), "12345");
    }

    #[tokio::test]
    async fn what_is_no_file_is_refused_without_blocking() {
        let (folder, files) = root();
        let fifo = folder.path().join("root/fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        assert!(matches!(files.read("fifo", 100).await, Err(ReadError::Refused { .. })));
        assert!(matches!(files.read("thumbnails", 100).await, Err(ReadError::Refused { .. })));
    }

    #[tokio::test]
    async fn what_is_written_is_listed_and_read() {
        let (_folder, files) = root();
        files.write("parts/0.jsonl", Bytes::from_static(b"{}")).await.unwrap();
        assert!(files.write("../x", Bytes::new()).await.is_err());
        let mut list = files.list().await.unwrap();
        list.sort();
        assert_eq!(list, [("parts/0.jsonl".to_owned(), 2), ("thumbnails/a.jpg".to_owned(), 5)]);
    }

    #[test]
    fn other_schemes_are_refused_by_name() {
        let error = Files::open(&Url::parse("ftp://host/x").unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "ftp://host/x is no folder this program can read: only file:// URLs are supported"
        );
    }
}
