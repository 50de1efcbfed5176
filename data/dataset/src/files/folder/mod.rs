//! A root in the local file system.
//!
//! Owns what only a file system needs: files are opened beneath the folders that links may lead to (`place`,
//! `beneath`), and only regular files are read, so that a FIFO or device cannot block a worker. With its submodules the
//! only module that uses `rustix`.

mod beneath;
mod listing;
mod place;
#[cfg(test)]
mod tests;

use std::{
    ffi::OsStr,
    fs::{File, TryLockError},
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::fs::FileExt},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use common::job::args::ByteRange;
use rustix::fs::{AtFlags, Mode, OFlags, fstat, openat, renameat, unlinkat};

pub(crate) use self::listing::Resolved;
pub(super) use self::place::Place;
use self::{
    beneath::{Missing, is_outside, is_regular_file},
    listing::{Resolver, walk},
    place::Anchor,
};
use super::{
    content::Content,
    error::{FilesError, ReadError},
    name::{Found, require_confined},
};

const OUTSIDE: &str = "it points outside the dataset";
/// Without O_NONBLOCK, opening a FIFO blocks until a writer opens it.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Number of temporary files that this process has created.
static TEMPORARY_FILES: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, Debug)]
pub(super) struct Folder {
    place: Place,
}

impl Folder {
    pub(super) fn new(place: Place) -> Self {
        Self { place }
    }

    /// The same folder, in which no links are followed to write files.
    pub(super) fn without_links(self) -> Self {
        Self { place: self.place.without_links() }
    }

    /// Runs file operations on a thread where they may block.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Place) -> T + Send + 'static) -> T {
        let place = self.place.clone();
        tokio::task::spawn_blocking(move || work(&place)).await.expect("file operations do not panic")
    }

    pub(super) async fn read(&self, name: &str, limit: u64) -> Result<Bytes, ReadError> {
        let name = name.to_owned();
        self.run(move |place| {
            let anchor = place.open().map_err(|error| read_error(&name, &error))?;
            read(&anchor, &name, limit)
        })
        .await
    }

    /// Reads `range` of a file, or less if the file is shorter.
    pub(super) async fn read_range(&self, name: &str, range: ByteRange) -> Result<Bytes, ReadError> {
        let name = name.to_owned();
        self.run(move |place| {
            let failed = |error: io::Error| read_error(&name, &error);
            let (file, size) = open_file(&place.open().map_err(failed)?, &name, u64::MAX)?;
            let mut bytes = vec![0; range.bytes.min(size.saturating_sub(range.offset)) as usize];
            file.read_exact_at(&mut bytes, range.offset).map_err(failed)?;
            Ok(Bytes::from(bytes))
        })
        .await
    }

    pub(super) async fn exists(&self) -> bool {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        self.run(move |place| place.open().and_then(|anchor| anchor.open("", flags)).is_ok()).await
    }

    pub(super) async fn read_many(&self, names: Vec<String>, limit: u64) -> Vec<Result<Bytes, ReadError>> {
        self.run(move |place| {
            let anchor = place.open();
            let read = |name: &String| {
                require_confined(name)?;
                read(anchor.as_ref().map_err(|error| read_error(name, error))?, name, limit)
            };
            names.iter().map(read).collect()
        })
        .await
    }

    pub(super) async fn content(&self, name: &str, limit: u64) -> Result<Content, ReadError> {
        let owned_name = name.to_owned();
        let opening = self.run(move |place| {
            let anchor = place.open().map_err(|error| read_error(&owned_name, &error))?;
            open_file(&anchor, &owned_name, limit)
        });
        let (file, _) = opening.await?;
        Ok(Content::of_file(name, limit, file.into()))
    }

    /// Whether a regular file has this name. What is outside the roots does not exist: writing there is refused.
    pub(super) async fn has(&self, name: &str) -> io::Result<bool> {
        let name = name.to_owned();
        let is_there = move |place: &Place| {
            let file = place.open()?.open(&name, OFlags::PATH)?;
            io::Result::Ok(is_regular_file(&fstat(&file)?))
        };
        let found = self.run(move |place| is_there(place)).await;
        found.or_else(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(false),
            _ if is_outside(&error) => Ok(false),
            _ => Err(error),
        })
    }

    pub(super) async fn walk<S: Send + 'static>(
        &self,
        subfolder: Option<&str>,
        mut state: S,
        visit: fn(&mut S, Found<'_>),
    ) -> Result<S, FilesError> {
        let subfolder = subfolder.map(str::to_owned);
        self.run(move |place| {
            walk(place, subfolder.as_deref(), &mut |found| visit(&mut state, found))?;
            Ok(state)
        })
        .await
    }

    /// Looks files up by the names that rows give them. Hidden files are `None`, as those that do not exist.
    pub(super) async fn resolve(&self, names: Vec<String>) -> Vec<Option<Resolved>> {
        self.run(move |place| {
            let Some(mut resolver) = Resolver::new(place) else {
                return names.iter().map(|_| None).collect();
            };
            names.iter().map(|name| resolver.resolve(name)).collect()
        })
        .await
    }

    pub(super) async fn remove(&self, name: &str) -> Result<(), ReadError> {
        let name = name.to_owned();
        self.run(move |place| {
            let removed = place.parent(&name, Missing::Fail).and_then(|(parent, file)| {
                unlinkat(&parent, file, AtFlags::empty()).map_err(io::Error::from)
            });
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(write_error(&name, &error)),
                _ => Ok(()),
            }
        })
        .await
    }

    /// Takes the lock file `name` until the result is dropped; `None` if another process has it.
    pub(super) async fn try_lock(&self, name: &str) -> Result<Option<File>, ReadError> {
        let name = name.to_owned();
        self.run(move |place| {
            let failed = |error: io::Error| write_error(&name, &error);
            let (parent, file) = place.parent(&name, Missing::Create).map_err(failed)?;
            let flags = OFlags::CREATE | OFlags::APPEND | OFlags::WRONLY;
            let file = create(&parent, file, flags).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => Ok(Some(file)),
                Err(TryLockError::WouldBlock) => Ok(None),
                Err(TryLockError::Error(error)) => Err(failed(error)),
            }
        })
        .await
    }

    pub(super) async fn write(&self, name: &str, bytes: Bytes) -> Result<(), ReadError> {
        let name = name.to_owned();
        self.run(move |place| write_atomically(place, &name, |file| file.write_all(&bytes))).await
    }

    pub(super) async fn write_file(&self, name: &str, from: &Path) -> Result<(), ReadError> {
        let (from, name) = (from.to_owned(), name.to_owned());
        self.run(move |place| {
            write_atomically(place, &name, |file| io::copy(&mut File::open(from)?, file).map(drop))
        })
        .await
    }
}

fn read(anchor: &Anchor, name: &str, limit: u64) -> Result<Bytes, ReadError> {
    let (file, size) = open_file(anchor, name, limit)?;
    let mut bytes = Vec::with_capacity(size as usize);
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| read_error(name, &error))?;
    ReadError::require_size(name, bytes.len() as u64, limit)?;
    Ok(Bytes::from(bytes))
}

/// Opens a regular file and returns it with its size.
fn open_file(anchor: &Anchor, name: &str, limit: u64) -> Result<(File, u64), ReadError> {
    let failed = |error: io::Error| read_error(name, &error);
    let file = anchor.open(name, READ).map_err(failed)?;
    let file = File::from(file);
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(ReadError::refused(name, &"it is not a regular file"));
    }
    ReadError::require_size(name, metadata.len(), limit)?;
    Ok((file, metadata.len()))
}

/// Writes to a temporary file, syncs it and renames it to `name`.
fn write_atomically(
    place: &Place,
    name: &str,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), ReadError> {
    let written = place.parent(name, Missing::Create).and_then(|(parent, file)| {
        let (temporary, mut temporary_file) = create_temporary(&parent)?;
        let renamed = write(&mut temporary_file)
            .and_then(|()| temporary_file.sync_data())
            .and_then(|()| Ok(renameat(&parent, &temporary, &parent, file)?));
        if renamed.is_err() {
            // The first error is the one to report.
            let _ = unlinkat(&parent, &temporary, AtFlags::empty());
        }
        renamed
    });
    written.map_err(|error| write_error(name, &error))
}

/// Creates a file that no other one has the name of. It is hidden, so that no walk finds it.
fn create_temporary(folder: &OwnedFd) -> io::Result<(String, File)> {
    loop {
        let number = TEMPORARY_FILES.fetch_add(1, Ordering::Relaxed);
        let since_epoch = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        let name = format!(".tmp-{}-{}-{number}", std::process::id(), since_epoch.as_nanos());
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
        match create(folder, name.as_ref(), flags) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created.map(|file| (name, file)),
        }
    }
}

/// Opens a file with the mode of ordinary new files, 0666 minus the umask. A link is an error.
fn create(folder: &OwnedFd, name: &OsStr, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(openat(folder, name, flags, Mode::from_raw_mode(0o666))?.into())
}

fn read_error(name: &str, error: &io::Error) -> ReadError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ReadError::missing(name),
        io::ErrorKind::PermissionDenied => ReadError::refused(name, error),
        _ if is_outside(error) => ReadError::refused(name, &OUTSIDE),
        _ => ReadError::unavailable(name, error),
    }
}

fn write_error(name: &str, error: &io::Error) -> ReadError {
    if is_outside(error) { ReadError::refused(name, &OUTSIDE) } else { ReadError::unavailable(name, error) }
}
