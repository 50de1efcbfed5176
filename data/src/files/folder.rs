//! A root that is a local folder.
//!
//! Owns the checks that only a file system needs: no name leads outside by a symbolic link, and nothing
//! but a regular file is read, so no name can block a worker.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::{FilesError, ReadError};

/// Deepest folder that is listed.
const MAX_DEPTH: usize = 8;

#[derive(Clone, Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) async fn read(&self, name: &str, limit: u64) -> Result<Bytes, ReadError> {
        let (folder, name) = (self.clone(), name.to_owned());
        let reading = tokio::task::spawn_blocking(move || folder.read_blocking(&name, limit));
        reading.await.expect("reading does not panic")
    }

    pub(super) async fn list(&self) -> Result<Vec<(String, u64)>, FilesError> {
        let root = self.root.clone();
        let listing = tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            list_folder(&root, "", MAX_DEPTH, &mut found)?;
            Ok(found)
        });
        listing.await.expect("listing does not panic")
    }

    pub(super) async fn write(&self, name: &str, bytes: Bytes) -> Result<(), ReadError> {
        let (path, name) = (self.root.join(name), name.to_owned());
        let writing = tokio::task::spawn_blocking(move || {
            let folder = path.parent().expect("a file below a root has a folder");
            let write = || -> io::Result<()> {
                fs::create_dir_all(folder)?;
                let mut file = tempfile::NamedTempFile::new_in(folder)?;
                file.write_all(&bytes)?;
                file.as_file().sync_data()?;
                file.persist(&path)?;
                Ok(())
            };
            write().map_err(|error| ReadError::unavailable(&name, &error))
        });
        writing.await.expect("writing does not panic")
    }

    fn read_blocking(&self, name: &str, limit: u64) -> Result<Bytes, ReadError> {
        let failed = |error| system(name, &error);
        let path = self.root.join(name);
        let real = path.canonicalize().map_err(failed)?;
        if real != path {
            let root = self.root.canonicalize().map_err(failed)?;
            if !real.starts_with(root) {
                return Err(ReadError::refused(name, &"leads outside its dataset"));
            }
        }
        // A FIFO opened without O_NONBLOCK would block until somebody writes to it.
        let mut options = File::options();
        options.read(true).custom_flags(libc::O_NONBLOCK);
        let file = options.open(&real).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(ReadError::refused(name, &"is no regular file"));
        }
        ReadError::require_size(name, metadata.len(), limit)?;
        let mut bytes = Vec::with_capacity(metadata.len() as usize);
        file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
        ReadError::require_size(name, bytes.len() as u64, limit)?;
        Ok(Bytes::from(bytes))
    }
}

fn system(name: &str, error: &io::Error) -> ReadError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ReadError::missing(name),
        io::ErrorKind::PermissionDenied => ReadError::refused(name, &format!("may not be read: {error}")),
        _ => ReadError::unavailable(name, error),
    }
}

fn list_folder(
    folder: &Path,
    prefix: &str,
    depth: usize,
    found: &mut Vec<(String, u64)>,
) -> Result<(), FilesError> {
    let failed =
        |error: io::Error| FilesError::List { root: folder.display().to_string(), what: error.to_string() };
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

    use url::Url;

    use super::{super::Files, *};

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
}
