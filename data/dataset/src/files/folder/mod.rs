//! A root in the local file system.
//!
//! Owns the checks that only a file system needs: symbolic links must not point outside the root, and only
//! regular files are read, so that a FIFO or device cannot block a worker.

mod listing;

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use bytes::Bytes;

use self::listing::{list, listed_size};
use super::{
    content::Content,
    error::{FilesError, ReadError},
    name::{ListedFile, require_confined},
};

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

    pub(super) async fn exists(&self) -> bool {
        tokio::fs::metadata(&self.root).await.is_ok_and(|metadata| metadata.is_dir())
    }

    pub(super) async fn read_many(&self, names: Vec<String>, limit: u64) -> Vec<Result<Bytes, ReadError>> {
        let folder = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let read = |name: &String| {
                require_confined(name)?;
                folder.read_blocking(name, limit)
            };
            names.iter().map(read).collect()
        });
        reading.await.expect("reading does not panic")
    }

    pub(super) async fn content(&self, name: &str, limit: u64) -> Result<Content, ReadError> {
        let (folder, owned_name) = (self.clone(), name.to_owned());
        let opening = tokio::task::spawn_blocking(move || folder.open_blocking(&owned_name, limit));
        let (file, _) = opening.await.expect("opening does not panic")?;
        Ok(Content::of_file(name, limit, file.into()))
    }

    pub(super) async fn list(
        &self,
        subfolder: Option<&str>,
        filter: fn(&str) -> bool,
    ) -> Result<Vec<ListedFile>, FilesError> {
        let (root, subfolder) = (self.root.clone(), subfolder.map(str::to_owned));
        let listing = tokio::task::spawn_blocking(move || list(&root, subfolder.as_deref(), filter));
        listing.await.expect("listing does not panic")
    }

    /// Returns the size of each file, or `None` if a listing of the root would not contain it.
    pub(super) async fn sizes(&self, names: Vec<String>) -> Vec<Option<u64>> {
        let root = self.root.clone();
        let querying = tokio::task::spawn_blocking(move || {
            let mut folders = HashMap::new();
            names.iter().map(|name| listed_size(&root, name, &mut folders)).collect()
        });
        querying.await.expect("reading sizes does not panic")
    }

    pub(super) async fn write(&self, name: &str, bytes: Bytes) -> Result<(), ReadError> {
        let (folder, name) = (self.clone(), name.to_owned());
        let writing = tokio::task::spawn_blocking(move || {
            folder.write_atomically(&name, |file| file.write_all(&bytes))
        });
        writing.await.expect("writing does not panic")
    }

    pub(super) async fn write_file(&self, name: &str, from: &Path) -> Result<(), ReadError> {
        let (folder, from, name) = (self.clone(), from.to_owned(), name.to_owned());
        let writing = tokio::task::spawn_blocking(move || {
            folder.write_atomically(&name, |file| io::copy(&mut File::open(from)?, file).map(drop))
        });
        writing.await.expect("writing does not panic")
    }

    fn read_blocking(&self, name: &str, limit: u64) -> Result<Bytes, ReadError> {
        let (file, size) = self.open_blocking(name, limit)?;
        let mut bytes = Vec::with_capacity(size as usize);
        file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| read_error(name, &error))?;
        ReadError::require_size(name, bytes.len() as u64, limit)?;
        Ok(Bytes::from(bytes))
    }

    /// Opens a regular file inside the root and returns it with its size.
    fn open_blocking(&self, name: &str, limit: u64) -> Result<(File, u64), ReadError> {
        let failed = |error| read_error(name, &error);
        let path = self.root.join(name);
        let real = path.canonicalize().map_err(failed)?;
        if real != path {
            let root = self.root.canonicalize().map_err(failed)?;
            if !real.starts_with(root) {
                return Err(ReadError::refused(name, &"it points outside the dataset"));
            }
        }
        // Without O_NONBLOCK, opening a FIFO blocks until a writer opens it.
        let mut options = File::options();
        options.read(true).custom_flags(libc::O_NONBLOCK);
        let file = options.open(&real).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(ReadError::refused(name, &"it is not a regular file"));
        }
        ReadError::require_size(name, metadata.len(), limit)?;
        Ok((file, metadata.len()))
    }

    /// Writes to a temporary file, syncs it and renames it to `name`.
    fn write_atomically(
        &self,
        name: &str,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(), ReadError> {
        let failed = |error| ReadError::unavailable(name, &error);
        let path = self.root.join(name);
        let folder = path.parent().expect("a file inside a root has a parent");
        fs::create_dir_all(&self.root).map_err(failed)?;
        // Checked before folders are created: the existing part of the path must be inside the root.
        let parent = folder.ancestors().find_map(|parent| parent.canonicalize().ok());
        let root = self.root.canonicalize().map_err(failed)?;
        if !parent.is_some_and(|parent| parent.starts_with(root)) {
            return Err(ReadError::refused(name, &"it points outside the dataset"));
        }
        fs::create_dir_all(folder).map_err(failed)?;
        let written = (|| {
            // Temporary files are 0600 by default; 0666 minus the umask is the mode of ordinary new files.
            let mode = fs::Permissions::from_mode(0o666);
            let mut file = tempfile::Builder::new().permissions(mode).tempfile_in(folder)?;
            write(file.as_file_mut())?;
            file.as_file().sync_data()?;
            file.persist(&path)?;
            Ok(())
        })();
        written.map_err(failed)
    }
}

fn read_error(name: &str, error: &io::Error) -> ReadError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ReadError::missing(name),
        io::ErrorKind::PermissionDenied => ReadError::refused(name, error),
        _ => ReadError::unavailable(name, error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use url::Url;

    use super::{listing::MAX_DEPTH, *};
    use crate::files::Files;

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
    async fn files_over_the_limit_are_rejected() {
        let (_folder, files) = root();
        assert_eq!(files.read("thumbnails/a.jpg", 5).await.unwrap(), "12345");
        assert!(matches!(
            files.read("thumbnails/a.jpg", 4).await,
            Err(ReadError::TooLarge { bytes: 5, limit: 4, .. })
        ));
        assert!(matches!(files.read("thumbnails/b.jpg", 4).await, Err(ReadError::Missing { .. })));
        assert!(matches!(files.read("thumbnails/a.jpg/x", 4).await, Err(ReadError::Missing { .. })));
        let names = ["thumbnails/b.jpg", "thumbnails/a.jpg", "../secret"].map(str::to_owned);
        assert!(files.exists().await);
        let results = files.read_many(names.to_vec(), 5).await;
        assert!(matches!(results[0], Err(ReadError::Missing { .. })), "{results:?}");
        assert_eq!(results[1].as_ref().unwrap(), "12345");
        assert!(matches!(results[2], Err(ReadError::Refused { .. })), "{results:?}");
    }

    #[tokio::test]
    async fn paths_outside_the_root_are_refused() {
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
    async fn only_regular_files_are_read() {
        let (folder, files) = root();
        let fifo = folder.path().join("root/fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        assert!(matches!(files.read("fifo", 100).await, Err(ReadError::Refused { .. })));
        assert!(matches!(files.read("thumbnails", 100).await, Err(ReadError::Refused { .. })));
    }

    #[tokio::test]
    async fn written_files_are_listed_and_read() {
        let (folder, files) = root();
        files.write("parts/0.jsonl", Bytes::from_static(b"{}")).await.unwrap();
        assert!(files.write("../x", Bytes::new()).await.is_err());
        let listed = async |subfolder| {
            let listed = files.list(subfolder, |name| !name.ends_with("b.jpg")).await.unwrap();
            listed.into_iter().map(|(name, bytes)| (name.into_string(), bytes)).collect::<Vec<_>>()
        };
        files.write("thumbnails/b.jpg", Bytes::new()).await.unwrap();
        let (part, image) = (("parts/0.jsonl".to_owned(), 2), ("thumbnails/a.jpg".to_owned(), 5));
        assert_eq!(listed(None).await, [part.clone(), image.clone()]);
        assert_eq!(listed(Some("parts")).await, [part]);
        assert_eq!(listed(Some("nowhere")).await, []);
        files.write_file("copy", &folder.path().join("secret")).await.unwrap();
        assert_eq!(files.read("copy", 100).await.unwrap(), "secret");
    }

    #[tokio::test]
    async fn only_listed_files_have_a_size() {
        let (folder, files) = root();
        let root = folder.path().join("root");
        let deep = |levels: usize| format!("{}x.jpg", "d/".repeat(levels));
        let names = [".hidden.jpg", ".hidden/a.jpg", "empty", &deep(MAX_DEPTH), &deep(MAX_DEPTH + 1)]
            .map(str::to_owned);
        for name in &names {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), b"").unwrap();
        }
        symlink(root.join("thumbnails/a.jpg"), root.join("link.jpg")).unwrap();
        symlink(root.join("thumbnails"), root.join("linked")).unwrap();
        symlink(root.join("nowhere"), root.join("dangling")).unwrap();
        let more =
            ["thumbnails/a.jpg", "link.jpg", "linked/a.jpg", "dangling", "thumbnails", "none", "d/none"];
        let names: Vec<String> = names.into_iter().chain(more.map(str::to_owned)).collect();
        let listed: HashMap<Box<str>, u64> = files.list(None, |_| true).await.unwrap().into_iter().collect();
        let sizes = files.sizes().await.unwrap().of(names.clone()).await;
        for (name, size) in names.iter().zip(sizes) {
            assert_eq!(size, listed.get(name.as_str()).copied(), "{name}");
        }
        assert_eq!(listed.len(), 4, "{listed:?}");
    }

    #[tokio::test]
    async fn content_is_read_in_chunks_within_its_limit() {
        let (folder, files) = root();
        let bytes: Vec<u8> = (0..700_000_u32).map(|index| (index % 251) as u8).collect();
        fs::write(folder.path().join("root/large"), &bytes).unwrap();
        let mut content = files.open_content("large", 700_000).await.unwrap();
        let mut read = Vec::new();
        while let Some(chunk) = content.next_chunk().await.unwrap() {
            assert!(!chunk.is_empty() && chunk.len() < bytes.len());
            read.extend_from_slice(&chunk);
        }
        assert_eq!(read, bytes);
        assert!(matches!(files.open_content("large", 699_999).await, Err(ReadError::TooLarge { .. })));
        assert!(matches!(files.open_content("../secret", 9).await, Err(ReadError::Refused { .. })));
    }
}
