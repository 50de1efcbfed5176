//! A root that is a local folder.
//!
//! Owns the checks that only a file system needs: no name leads outside by a symbolic link, and nothing
//! but a regular file is read, so no name can block a worker.

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
    name::{Listed, require_confined},
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

    pub(super) async fn is_there(&self) -> bool {
        tokio::fs::metadata(&self.root).await.is_ok_and(|metadata| metadata.is_dir())
    }

    pub(super) async fn read_together(
        &self,
        names: Vec<String>,
        limit: u64,
    ) -> Vec<Result<Bytes, ReadError>> {
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
        let (folder, own_name) = (self.clone(), name.to_owned());
        let opening = tokio::task::spawn_blocking(move || folder.open_blocking(&own_name, limit));
        let (file, _) = opening.await.expect("opening does not panic")?;
        Ok(Content::of_file(name, limit, file.into()))
    }

    pub(super) async fn list(
        &self,
        below: Option<&str>,
        wanted: fn(&str) -> bool,
    ) -> Result<Vec<Listed>, FilesError> {
        let (root, below) = (self.root.clone(), below.map(str::to_owned));
        let listing = tokio::task::spawn_blocking(move || list(&root, below.as_deref(), wanted));
        listing.await.expect("listing does not panic")
    }

    /// Returns the sizes of files; nothing for one that a listing of the root would not hold.
    pub(super) async fn sizes(&self, names: Vec<String>) -> Vec<Option<u64>> {
        let root = self.root.clone();
        let asking = tokio::task::spawn_blocking(move || {
            let mut folders = HashMap::new();
            names.iter().map(|name| listed_size(&root, name, &mut folders)).collect()
        });
        asking.await.expect("asking for sizes does not panic")
    }

    pub(super) async fn write(&self, name: &str, bytes: Bytes) -> Result<(), ReadError> {
        let (folder, name) = (self.clone(), name.to_owned());
        let writing =
            tokio::task::spawn_blocking(move || folder.write_whole(&name, |file| file.write_all(&bytes)));
        writing.await.expect("writing does not panic")
    }

    pub(super) async fn write_file(&self, name: &str, from: &Path) -> Result<(), ReadError> {
        let (folder, from, name) = (self.clone(), from.to_owned(), name.to_owned());
        let writing = tokio::task::spawn_blocking(move || {
            folder.write_whole(&name, |file| io::copy(&mut File::open(from)?, file).map(drop))
        });
        writing.await.expect("writing does not panic")
    }

    fn read_blocking(&self, name: &str, limit: u64) -> Result<Bytes, ReadError> {
        let (file, size) = self.open_blocking(name, limit)?;
        let mut bytes = Vec::with_capacity(size as usize);
        file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| system(name, &error))?;
        ReadError::require_size(name, bytes.len() as u64, limit)?;
        Ok(Bytes::from(bytes))
    }

    /// Opens a regular file below the root, and returns its size beside it.
    fn open_blocking(&self, name: &str, limit: u64) -> Result<(File, u64), ReadError> {
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
        Ok((file, metadata.len()))
    }

    /// Makes a file appear under its name once it is written and on disk.
    fn write_whole(
        &self,
        name: &str,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(), ReadError> {
        let failed = |error| ReadError::unavailable(name, &error);
        let path = self.root.join(name);
        let folder = path.parent().expect("a file below a root has a folder");
        fs::create_dir_all(&self.root).map_err(failed)?;
        // Before any folder is made: what is there of the way must lie below the root.
        let there = folder.ancestors().find_map(|above| above.canonicalize().ok());
        let root = self.root.canonicalize().map_err(failed)?;
        if !there.is_some_and(|there| there.starts_with(root)) {
            return Err(ReadError::refused(name, &"leads outside its dataset"));
        }
        fs::create_dir_all(folder).map_err(failed)?;
        let written = (|| {
            // Whoever may read the folder may read the file, as with files that are made in place.
            let everybody = fs::Permissions::from_mode(0o666);
            let mut file = tempfile::Builder::new().permissions(everybody).tempfile_in(folder)?;
            write(file.as_file_mut())?;
            file.as_file().sync_data()?;
            file.persist(&path)?;
            Ok(())
        })();
        written.map_err(failed)
    }
}

fn system(name: &str, error: &io::Error) -> ReadError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ReadError::missing(name),
        io::ErrorKind::PermissionDenied => ReadError::refused(name, &format!("may not be read: {error}")),
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
    async fn files_are_read_within_their_limit() {
        let (_folder, files) = root();
        assert_eq!(files.read("thumbnails/a.jpg", 5).await.unwrap(), "12345");
        assert!(matches!(
            files.read("thumbnails/a.jpg", 4).await,
            Err(ReadError::TooLarge { bytes: 5, limit: 4, .. })
        ));
        assert!(matches!(files.read("thumbnails/b.jpg", 4).await, Err(ReadError::Missing { .. })));
        assert!(matches!(files.read("thumbnails/a.jpg/x", 4).await, Err(ReadError::Missing { .. })));
        let names = ["thumbnails/b.jpg", "thumbnails/a.jpg", "../secret"].map(str::to_owned);
        assert!(files.is_there().await);
        let together = files.read_together(names.to_vec(), 5).await;
        assert!(matches!(together[0], Err(ReadError::Missing { .. })), "{together:?}");
        assert_eq!(together[1].as_ref().unwrap(), "12345");
        assert!(matches!(together[2], Err(ReadError::Refused { .. })), "{together:?}");
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
        let (folder, files) = root();
        files.write("parts/0.jsonl", Bytes::from_static(b"{}")).await.unwrap();
        assert!(files.write("../x", Bytes::new()).await.is_err());
        let listed = async |below| {
            let listed = files.list(below, |name| !name.ends_with("b.jpg")).await.unwrap();
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

    /// What a listing holds has a size, and nothing else has one.
    #[tokio::test]
    async fn sizes_are_those_of_a_listing() {
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
    async fn content_comes_in_pieces_within_its_limit() {
        let (folder, files) = root();
        let bytes: Vec<u8> = (0..700_000_u32).map(|at| (at % 251) as u8).collect();
        fs::write(folder.path().join("root/large"), &bytes).unwrap();
        let mut content = files.open_content("large", 700_000).await.unwrap();
        let mut read = Vec::new();
        while let Some(piece) = content.next_piece().await.unwrap() {
            assert!(!piece.is_empty() && piece.len() < bytes.len());
            read.extend_from_slice(&piece);
        }
        assert_eq!(read, bytes);
        assert!(matches!(files.open_content("large", 699_999).await, Err(ReadError::TooLarge { .. })));
        assert!(matches!(files.open_content("../secret", 9).await, Err(ReadError::Refused { .. })));
    }
}
