//! A root in the local file system.
//!
//! Owns the checks that only a file system needs: symbolic links must not point outside the root (or the
//! dataset roots), and only regular files are read, so that a FIFO or device cannot block a worker.

mod links;
mod listing;

use std::{
    collections::HashMap,
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use bytes::Bytes;

pub(super) use self::links::allow_links_to;
pub(crate) use self::listing::Resolved;
use self::{
    links::is_allowed,
    listing::{resolve, walk},
};
use super::{
    content::Content,
    error::{FilesError, ReadError},
    name::{Found, require_confined},
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

    pub(super) async fn has(&self, name: &str) -> bool {
        tokio::fs::metadata(self.root.join(name)).await.is_ok_and(|metadata| metadata.is_file())
    }

    pub(super) async fn walk<S: Send + 'static>(
        &self,
        subfolder: Option<&str>,
        mut state: S,
        visit: fn(&mut S, Found<'_>),
    ) -> Result<S, FilesError> {
        let (root, subfolder) = (self.root.clone(), subfolder.map(str::to_owned));
        let walking = tokio::task::spawn_blocking(move || {
            walk(&root, subfolder.as_deref(), &mut |found| visit(&mut state, found))?;
            Ok(state)
        });
        walking.await.expect("a walk does not panic")
    }

    /// Looks files up by the names that rows give them. Hidden files are `None`, as those that do not exist.
    pub(super) async fn resolve(&self, names: Vec<String>) -> Vec<Option<Resolved>> {
        let root = self.root.clone();
        let querying = tokio::task::spawn_blocking(move || {
            let mut folders = HashMap::new();
            names.iter().map(|name| resolve(&root, name, &mut folders)).collect()
        });
        querying.await.expect("looking files up does not panic")
    }

    pub(super) async fn remove(&self, name: &str) -> Result<(), ReadError> {
        let (folder, name) = (self.clone(), name.to_owned());
        let removing = tokio::task::spawn_blocking(move || {
            folder.require_inside(&name)?;
            match fs::remove_file(folder.root.join(&name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(ReadError::unavailable(&name, &error))
                }
                _ => Ok(()),
            }
        });
        removing.await.expect("removing does not panic")
    }

    /// Takes the lock file `name` until the result is dropped; `None` if another process has it.
    pub(super) async fn try_lock(&self, name: &str) -> Result<Option<File>, ReadError> {
        let (folder, name) = (self.clone(), name.to_owned());
        let locking = tokio::task::spawn_blocking(move || {
            let failed = |error| ReadError::unavailable(&name, &error);
            fs::create_dir_all(folder.require_inside(&name)?).map_err(failed)?;
            let path = folder.root.join(&name);
            let file = File::options().create(true).append(true).open(path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => Ok(Some(file)),
                Err(TryLockError::WouldBlock) => Ok(None),
                Err(TryLockError::Error(error)) => Err(failed(error)),
            }
        });
        locking.await.expect("locking does not panic")
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
            if !is_allowed(&root, &real) {
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

    /// Returns the folder of a file that may be written: the existing part of its path must be inside the root. Creates
    /// the root.
    fn require_inside(&self, name: &str) -> Result<PathBuf, ReadError> {
        let failed = |error| ReadError::unavailable(name, &error);
        fs::create_dir_all(&self.root).map_err(failed)?;
        let mut folder = self.root.join(name);
        folder.pop();
        let parent = folder.ancestors().find_map(|parent| parent.canonicalize().ok());
        let root = self.root.canonicalize().map_err(failed)?;
        if !parent.is_some_and(|parent| parent.starts_with(root)) {
            return Err(ReadError::refused(name, &"it points outside the dataset"));
        }
        Ok(folder)
    }

    /// Writes to a temporary file, syncs it and renames it to `name`.
    fn write_atomically(
        &self,
        name: &str,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(), ReadError> {
        let failed = |error| ReadError::unavailable(name, &error);
        let path = self.root.join(name);
        let folder = self.require_inside(name)?;
        fs::create_dir_all(&folder).map_err(failed)?;
        let written = (|| {
            // Temporary files are 0600 by default; 0666 minus the umask is the mode of ordinary new files.
            let mode = fs::Permissions::from_mode(0o666);
            let mut file = tempfile::Builder::new().permissions(mode).tempfile_in(&folder)?;
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
    use std::os::unix::{ffi::OsStrExt, fs::symlink};

    use url::Url;

    use super::{listing::MAX_DEPTH, *};
    use crate::{digest_map::DigestMap, files::Files};

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
        files.write("thumbnails/b.jpg", Bytes::new()).await.unwrap();
        assert_eq!(found(&files, None).await.0, ["parts/0.jsonl", "thumbnails/a.jpg", "thumbnails/b.jpg"]);
        assert_eq!(found(&files, Some("parts")).await.0, ["parts/0.jsonl"]);
        assert_eq!(found(&files, Some("nowhere")).await.0, Vec::<String>::new());
        files.write_file("copy", &folder.path().join("secret")).await.unwrap();
        assert_eq!(files.read("copy", 100).await.unwrap(), "secret");
    }

    /// The files of a walk, and what it refuses.
    async fn found(files: &Files, subfolder: Option<&str>) -> (Vec<String>, Vec<String>) {
        let add = |(names, refused): &mut (Vec<String>, Vec<String>), found: Found<'_>| match found {
            Found::File { name, .. } => names.push(name.to_owned()),
            Found::Refused { name, reason, .. } => refused.push(format!("{name}: {reason}")),
        };
        let (mut names, mut refused) = files.walk(subfolder, (Vec::new(), Vec::new()), add).await.unwrap();
        names.sort();
        refused.sort();
        (names, refused)
    }

    async fn resolved(files: &Files, name: &str) -> Option<Resolved> {
        files.lookup(DigestMap::default()).resolve(vec![name.to_owned()]).await.remove(0)
    }

    #[tokio::test]
    async fn each_file_is_found_once_and_what_is_skipped_files_is_named() {
        let (folder, files) = root();
        let root = folder.path().join("root");
        let deep = |levels: usize| format!("{}x.jpg", "d/".repeat(levels));
        let names = [".hidden.jpg", ".hidden/a.jpg", &deep(MAX_DEPTH), &deep(MAX_DEPTH + 1), "line\n.jpg"];
        for name in names {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), b"").unwrap();
        }
        fs::write(root.join(std::ffi::OsStr::from_bytes(b"\xf1.jpg")), b"").unwrap();
        for (link, target) in [
            ("link.jpg", "thumbnails/a.jpg"),
            ("link2.jpg", ".hidden.jpg"),
            ("linked", "thumbnails"),
            ("hidden", ".hidden"),
            ("hidden2", ".hidden"),
            ("around", ".."),
            ("cycle", "."),
            ("thumbnails/cycle", ".."),
            ("dangling", "nowhere"),
            ("secret", "../secret"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        let (names, refused) = found(&files, None).await;
        assert_eq!(names, [&deep(MAX_DEPTH), "hidden/a.jpg", "link2.jpg", "thumbnails/a.jpg"]);
        let deepest = format!("{}d: the folder is more than 8 levels deep", "d/".repeat(MAX_DEPTH));
        let want = [
            "\\xf1.jpg: the name is not UTF-8",
            "around: it is a link to a place outside",
            &deepest,
            "dangling: it is a link to a file that does not exist",
            "line\\x0a.jpg: the name has control characters",
            "secret: it is a link to a place outside",
        ];
        assert_eq!(refused.len(), want.len(), "{refused:?}");
        for (refused, want) in refused.iter().zip(want) {
            assert!(refused.starts_with(want), "{refused}: {want}");
        }
    }

    #[tokio::test]
    async fn files_behind_links_are_resolved() {
        let (folder, files) = root();
        let root = folder.path().join("root");
        for (link, target) in [("linked", "thumbnails"), ("link.jpg", "thumbnails/a.jpg"), ("out", "..")] {
            symlink(target, root.join(link)).unwrap();
        }
        let at = |real: Option<&str>| Some(Resolved { bytes: 5, real_name: real.map(str::to_owned) });
        assert_eq!(resolved(&files, "thumbnails/a.jpg").await, at(None));
        assert_eq!(resolved(&files, "linked/a.jpg").await, at(Some("thumbnails/a.jpg")));
        assert_eq!(resolved(&files, "link.jpg").await, at(Some("thumbnails/a.jpg")));
        for name in ["out/secret", "thumbnails", "none", "none/a.jpg", ".hidden"] {
            assert_eq!(resolved(&files, name).await, None, "{name}");
        }
    }

    #[tokio::test]
    async fn removed_files_are_gone() {
        let (_folder, files) = root();
        files.remove("thumbnails/a.jpg").await.unwrap();
        files.remove("thumbnails/a.jpg").await.unwrap();
        assert!(!files.has("thumbnails/a.jpg").await.unwrap());
        assert!(files.remove("../secret").await.is_err());
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
