//! A folder whose files are opened relative to an open folder around it, never by a path that was checked before.

use std::{
    ffi::OsStr,
    fs, io,
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags, mkdirat, open, openat, openat2},
    io::Errno,
};

use super::beneath::{Area, Located, Missing, is_folder, locate};

/// Opens a folder to use it.
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Where a root is.
#[derive(Clone, Debug)]
pub(in crate::files) struct Place {
    /// Absolute. The operator or user chose it, so links in this path are followed.
    pub(in crate::files) anchor: PathBuf,
    /// The root, relative to the anchor.
    pub(in crate::files) inside: PathBuf,
    /// Folders that links may lead to when files are read, besides the anchor.
    pub(in crate::files) others: Arc<[PathBuf]>,
    /// Whether the kernel resolves paths first.
    pub(super) uses_openat2: bool,
    /// Whether links on the way to a file that is written are followed.
    follows_links: bool,
}

/// An open anchor.
pub(super) struct Anchor<'a> {
    place: &'a Place,
    folder: OwnedFd,
}

impl Place {
    pub(in crate::files) fn new(anchor: PathBuf, inside: PathBuf, others: Arc<[PathBuf]>) -> Self {
        Self { anchor, inside, others, uses_openat2: true, follows_links: true }
    }

    pub(in crate::files) fn without_links(self) -> Self {
        Self { follows_links: false, ..self }
    }

    /// The path of the root, for messages.
    pub(super) fn path(&self) -> PathBuf {
        self.anchor.join(&self.inside)
    }

    pub(super) fn open(&self) -> io::Result<Anchor<'_>> {
        Ok(Anchor { place: self, folder: open(&self.anchor, FOLDER, Mode::empty())? })
    }

    /// Opens the folder in which the file `name` is, for writing, and returns it with the file's own name. Unlike
    /// reads, writes stay in the root: its links may not lead to another one.
    pub(super) fn parent<'n>(&self, name: &'n str, missing: Missing) -> io::Result<(OwnedFd, &'n OsStr)> {
        if missing == Missing::Create {
            fs::create_dir_all(&self.anchor)?;
        }
        let anchor = self.open()?;
        if !self.follows_links {
            let (parent, name) = name.rsplit_once('/').unwrap_or(("", name));
            return Ok((self.descend(anchor.folder, parent, missing)?, OsStr::new(name)));
        }
        let root = match anchor.open("", FOLDER) {
            Err(error) if missing == Missing::Create && error.kind() == io::ErrorKind::NotFound => {
                self.locate(&self.inside, &self.reading_area(), missing)?.file
            }
            opened => opened?,
        };
        let (parent, name) = name.rsplit_once('/').unwrap_or(("", name));
        let opened = match self.uses_openat2 {
            true => beneath(&root, Path::new(parent), FOLDER),
            false => Err(Errno::NOSYS),
        };
        let folder = match opened {
            Ok(folder) => folder,
            Err(error) if needs_walk(error) || error == Errno::NOENT && missing == Missing::Create => {
                let located = self.locate(&self.inside.join(parent), &Area::only(&root)?, missing)?;
                if !is_folder(&located.stat) {
                    return Err(Errno::NOTDIR.into());
                }
                located.file
            }
            Err(error) => return Err(error.into()),
        };
        Ok((folder, OsStr::new(name)))
    }

    /// Opens the folder `name` in the root one component after the other. A link on the way is outside.
    fn descend(&self, anchor: OwnedFd, name: &str, missing: Missing) -> io::Result<OwnedFd> {
        let mut folder = anchor;
        for component in self.inside.join(name).components() {
            let Component::Normal(component) = component else { return Err(Errno::XDEV.into()) };
            let flags = FOLDER | OFlags::NOFOLLOW;
            let mut opened = openat(&folder, component, flags, Mode::empty());
            if opened.as_ref().is_err_and(|error| *error == Errno::NOENT) && missing == Missing::Create {
                match mkdirat(&folder, component, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                opened = openat(&folder, component, flags, Mode::empty());
            }
            folder = match opened {
                Err(Errno::NOTDIR | Errno::LOOP) => return Err(Errno::XDEV.into()),
                opened => opened?,
            };
        }
        Ok(folder)
    }

    fn reading_area(&self) -> Area {
        let others = self.others.iter().map(PathBuf::as_path);
        Area::at(others.chain([self.anchor.as_path()]))
    }

    fn locate(&self, path: &Path, area: &Area, missing: Missing) -> io::Result<Located> {
        locate(&self.anchor.canonicalize()?, path, area, missing)
    }

    /// Finds the path of the file or folder `name` without links.
    pub(super) fn real(&self, name: &str) -> io::Result<Located> {
        self.locate(&self.inside.join(name), &self.reading_area(), Missing::Fail)
    }
}

impl Anchor<'_> {
    /// Opens the file or folder `name` for reading; the root itself if it is empty.
    ///
    /// # Errors
    /// `CrossesDevices` if links lead to a place outside.
    pub(super) fn open(&self, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
        self.open_at(&self.place.inside.join(name), flags, ResolveFlags::empty()).unwrap_or_else(|_| {
            let located = self.place.real(name)?;
            if flags.contains(OFlags::DIRECTORY) && !is_folder(&located.stat) {
                return Err(Errno::NOTDIR.into());
            }
            if flags.contains(OFlags::PATH) { Ok(located.file) } else { located.reopen(flags) }
        })
    }

    /// Opens the folder `name` if no link leads to it. `None`: find out with [`Place::real`].
    pub(super) fn open_without_links(&self, name: &str) -> Option<io::Result<OwnedFd>> {
        self.open_at(&self.place.inside.join(name), FOLDER, ResolveFlags::NO_SYMLINKS).ok()
    }

    /// Lets the kernel open a file; fails if it cannot decide.
    fn open_at(
        &self,
        path: &Path,
        flags: OFlags,
        resolve: ResolveFlags,
    ) -> Result<io::Result<OwnedFd>, Errno> {
        if !self.place.uses_openat2 {
            return Err(Errno::NOSYS);
        }
        match beneath_with(&self.folder, path, flags | OFlags::CLOEXEC, resolve) {
            Err(error) if needs_walk(error) => Err(error),
            opened => Ok(opened.map_err(io::Error::from)),
        }
    }
}

fn beneath(folder: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    beneath_with(folder, path, flags, ResolveFlags::empty())
}

fn beneath_with(
    folder: &OwnedFd,
    path: &Path,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let resolve = resolve | ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    openat2(folder, path, flags, Mode::empty(), resolve)
}

/// Whether the kernel refuses a path that may be allowed: it has an absolute link or one to another root, a folder was
/// moved meanwhile, or the system call does not exist or is not permitted.
fn needs_walk(error: Errno) -> bool {
    [Errno::XDEV, Errno::LOOP, Errno::AGAIN, Errno::NOSYS, Errno::PERM, Errno::INVAL].contains(&error)
}
