//! Resolves paths component by component, without leaving the folders that their links may lead to.
//!
//! Each folder is opened relative to the one before, without following links, and links are resolved here. So what was
//! checked is what is opened, even if another process replaces a folder by a link meanwhile. `openat2` does the same
//! faster, but refuses absolute links, and kernels before 5.6 and some sandboxes lack it.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{FileType, Mode, OFlags, Stat, fstat, mkdirat, open, openat, readlinkat},
    io::Errno,
};

/// As many as Linux follows in a path.
const MAX_LINKS: usize = 40;

/// Opens a folder or link itself, to use it or to look at it.
pub(super) const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The folders that a path may lead to, by device and inode.
pub(super) struct Area(Vec<(u64, u64)>);

impl Area {
    /// The folders at these paths that exist.
    pub(super) fn at<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let found = |path: &Path| fstat(open(path, flags, Mode::empty()).ok()?).ok();
        Self(paths.into_iter().filter_map(found).map(|folder| identity(&folder)).collect())
    }

    pub(super) fn only(folder: &OwnedFd) -> io::Result<Self> {
        Ok(Self(vec![identity(&fstat(folder)?)]))
    }

    fn contains(&self, steps: &[Step]) -> bool {
        steps.iter().any(|step| self.0.contains(&step.identity))
    }
}

/// Device and inode.
pub(super) fn identity(file: &Stat) -> (u64, u64) {
    (file.st_dev, file.st_ino)
}

/// Whether folders that do not exist are created.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Fail,
    Create,
}

/// A file or folder, with its path without links.
pub(super) struct Located {
    pub(super) path: PathBuf,
    /// Opened with [`LOOK`].
    pub(super) file: OwnedFd,
    pub(super) stat: Stat,
    steps: Vec<Step>,
}

impl Located {
    /// Opens the file for reading.
    pub(super) fn reopen(&self, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let parent = self.steps.last().expect("the first step is the file system's root");
        match self.path.file_name() {
            Some(name) if !is_folder(&self.stat) => Ok(openat(&parent.folder, name, flags, Mode::empty())?),
            _ => Ok(openat(&self.file, ".", flags, Mode::empty())?),
        }
    }
}

/// A folder on the way, open.
struct Step {
    name: OsString,
    folder: OwnedFd,
    identity: (u64, u64),
}

/// Finds the file or folder at `path` below `start`, a canonical path.
///
/// # Errors
/// `CrossesDevices` if links lead out of the area, whatever is there.
pub(super) fn locate(start: &Path, path: &Path, area: &Area, missing: Missing) -> io::Result<Located> {
    let root = open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let stat = fstat(&root)?;
    let mut walk = Walk { steps: vec![Step { name: "/".into(), folder: root, identity: identity(&stat) }] };
    let start = walk.follow(start, Missing::Fail, &Area(Vec::new()))?;
    if start.is_some() {
        return Err(Errno::NOTDIR.into());
    }
    let found = walk.follow(path, missing, area);
    if !area.contains(&walk.steps) {
        return Err(Errno::XDEV.into());
    }
    let found = found?;
    let mut real: PathBuf = walk.steps.iter().map(|step| &step.name).collect();
    let file = match found {
        Some((name, file)) => {
            real.push(name);
            file
        }
        None => rustix::io::fcntl_dupfd_cloexec(&walk.last().folder, 0)?,
    };
    let stat = fstat(&file)?;
    Ok(Located { path: real, file, stat, steps: walk.steps })
}

struct Walk {
    steps: Vec<Step>,
}

impl Walk {
    fn last(&self) -> &Step {
        self.steps.last().expect("the first step is the file system's root")
    }

    /// Goes along `path`. Returns its end, with its name, unless that is a folder, which becomes the last step.
    fn follow(
        &mut self,
        path: &Path,
        missing: Missing,
        area: &Area,
    ) -> io::Result<Option<(OsString, OwnedFd)>> {
        let mut ahead: Vec<OsString> = parts(path);
        let mut links = 0;
        while let Some(part) = ahead.pop() {
            if part == ".." {
                self.steps.truncate((self.steps.len() - 1).max(1));
                continue;
            }
            let file = match openat(&self.last().folder, &part, LOOK, Mode::empty()) {
                Err(Errno::NOENT) if missing == Missing::Create && area.contains(&self.steps) => {
                    self.create_folder(&part)?
                }
                opened => opened?,
            };
            let stat = fstat(&file)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    self.steps.push(Step { name: part, folder: file, identity: identity(&stat) });
                }
                FileType::Symlink => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    let target = readlinkat(&file, "", Vec::new())?;
                    let target = Path::new(OsStr::from_bytes(target.as_bytes()));
                    if target.is_absolute() {
                        self.steps.truncate(1);
                    }
                    ahead.append(&mut parts(target));
                }
                _ if ahead.is_empty() => return Ok(Some((part, file))),
                _ => return Err(Errno::NOTDIR.into()),
            }
        }
        Ok(None)
    }

    fn create_folder(&self, name: &OsStr) -> io::Result<OwnedFd> {
        let parent = &self.last().folder;
        match mkdirat(parent, name, Mode::from_raw_mode(0o777)) {
            // Another process may have created it.
            Ok(()) | Err(Errno::EXIST) => Ok(openat(parent, name, LOOK, Mode::empty())?),
            Err(error) => Err(error.into()),
        }
    }
}

/// The components of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let part = |part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(part).collect()
}

/// Whether a path leads out of its area.
pub(super) fn is_outside(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::XDEV)
}

pub(super) fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode).is_dir()
}

pub(super) fn is_regular_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode).is_file()
}
