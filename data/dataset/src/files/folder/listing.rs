//! Walks a folder, and returns the sizes of files named in rows.
//!
//! Links are followed to files and folders inside the root or the allowed roots (see `beneath`). A link to what the
//! walk finds anyway, under its own name, adds nothing to it, so that each file is found once and no cycle is entered.
//! Invariant: [`Resolver`] knows each file that [`walk`] finds.

use std::{
    collections::HashSet,
    ffi::OsStr,
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, statat},
    io::Errno,
};

use super::{
    beneath::{LOOK, Located, identity, is_folder, is_outside, is_regular_file},
    place::{Anchor, Place},
};
use crate::files::{
    error::FilesError,
    name::{Found, escaped},
};

/// Maximum depth of listed folders.
pub(super) const MAX_DEPTH: usize = 8;

const NOT_UTF8: &str = "the name is not UTF-8 text: rename it";
const CONTROL: &str = "the name has control characters: rename it";
const TOO_DEEP: &str = "the folder is more than 8 levels deep, so its files are left out";
const OUTSIDE: &str = "it is a link to a place outside the dataset and the dataset roots";
const DANGLING: &str = "it is a link to a file that does not exist";

/// Calls `visit` for each entry of a root, or of one subfolder.
pub(super) fn walk(
    place: &Place,
    subfolder: Option<&str>,
    visit: &mut dyn FnMut(Found<'_>),
) -> Result<(), FilesError> {
    let root = match place.real("") {
        Err(error) if error.kind() == io::ErrorKind::NotFound && subfolder.is_some() => return Ok(()),
        root => root.map_err(|error| list_error(&place.path(), &error))?,
    };
    let mut walk = Walk { place, root: root.path, visit, entered: HashSet::new() };
    match subfolder {
        None => walk.enter(&root.file, "", MAX_DEPTH),
        Some(subfolder) => match place.real(subfolder) {
            Ok(found) if is_folder(&found.stat) => {
                walk.enter(&found.file, &format!("{subfolder}/"), MAX_DEPTH - 1)
            }
            _ => Ok(()),
        },
    }
}

struct Walk<'a> {
    place: &'a Place,
    /// Without links.
    root: PathBuf,
    visit: &'a mut dyn FnMut(Found<'_>),
    /// Device and inode of the files and folders that were reached through links.
    entered: HashSet<(u64, u64)>,
}

impl Walk<'_> {
    fn enter(&mut self, folder: &OwnedFd, prefix: &str, depth: usize) -> Result<(), FilesError> {
        let failed = |error: Errno| list_error(&self.place.path().join(prefix), &error.into());
        // Folders and links are kept, to visit them in the order of their names; files may be millions.
        let mut others = Vec::new();
        // The folder is open for its path only.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let entries = openat(folder, ".", flags, Mode::empty()).and_then(Dir::new);
        for entry in entries.map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
                    FileType::from_raw_mode(stat.st_mode)
                }
                kind => kind,
            };
            let unusable = match name.to_str() {
                None => Some(NOT_UTF8),
                Some(name) => name.contains(char::is_control).then_some(CONTROL),
            };
            let shown = format!("{prefix}{}", escaped(name));
            if let Some(reason) = unusable {
                (self.visit)(Found::Refused { name: &shown, is_folder: kind.is_dir(), reason });
            } else if kind.is_file() {
                (self.visit)(Found::File { name: &shown, bytes: None });
            } else if kind.is_dir() || kind.is_symlink() {
                others.push((name.to_owned(), kind));
            }
        }
        others.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (name, kind) in others {
            let shown = format!("{prefix}{}", escaped(&name));
            if kind.is_symlink() {
                self.follow(&shown, depth)?;
            } else {
                self.enter_below(folder, &name, &shown, depth)?;
            }
        }
        Ok(())
    }

    fn follow(&mut self, name: &str, depth: usize) -> Result<(), FilesError> {
        let found = match self.place.real(name) {
            Ok(found) => found,
            Err(error) => {
                // What is outside is not looked at: it may be a folder of images.
                let may_be_folder = is_outside(&error);
                let reason = if may_be_folder { OUTSIDE } else { DANGLING };
                (self.visit)(Found::Refused { name, is_folder: may_be_folder, reason });
                return Ok(());
            }
        };
        if self.is_new(&found) {
            if is_folder(&found.stat) {
                return self.enter_folder(&found.file, name, depth);
            }
            if is_regular_file(&found.stat) {
                (self.visit)(Found::File { name, bytes: None });
            }
        }
        Ok(())
    }

    fn enter_below(
        &mut self,
        parent: &OwnedFd,
        own_name: &OsStr,
        name: &str,
        depth: usize,
    ) -> Result<(), FilesError> {
        match openat(parent, own_name, LOOK | OFlags::DIRECTORY, Mode::empty()) {
            Ok(folder) => self.enter_folder(&folder, name, depth),
            Err(error) => Err(list_error(&self.place.path().join(name), &error.into())),
        }
    }

    fn enter_folder(&mut self, folder: &OwnedFd, name: &str, depth: usize) -> Result<(), FilesError> {
        if depth == 0 {
            (self.visit)(Found::Refused { name, is_folder: true, reason: TOO_DEEP });
            return Ok(());
        }
        self.enter(folder, &format!("{name}/"), depth - 1)
    }

    /// Whether a file or folder is found neither by its own name nor through another link.
    fn is_new(&mut self, found: &Located) -> bool {
        let visible = found.path.strip_prefix(&self.root).is_ok_and(|below| {
            let mut parts = below.components();
            below.components().count() <= MAX_DEPTH
                && parts.all(|part| !part.as_os_str().as_encoded_bytes().starts_with(b"."))
        });
        // A link to a folder around the root would lead back into it.
        !visible && !self.root.starts_with(&found.path) && self.entered.insert(identity(&found.stat))
    }
}

fn list_error(folder: &Path, error: &io::Error) -> FilesError {
    let reason =
        if is_outside(error) { "it points outside the dataset roots".to_owned() } else { error.to_string() };
    FilesError::List { root: folder.display().to_string(), reason }
}

/// A file that a row names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Resolved {
    pub(crate) bytes: u64,
    /// The file's name in a walk, if the row's leads through a link.
    pub(crate) real_name: Option<String>,
}

/// Finds files by the names that rows give them.
pub(super) struct Resolver<'a> {
    place: &'a Place,
    anchor: Anchor<'a>,
    /// Without links.
    root: PathBuf,
    /// The folder of the name before; rows name a folder's files one after the other.
    folder: Option<(String, Option<OpenFolder>)>,
}

struct OpenFolder {
    folder: OwnedFd,
    is_linked: bool,
}

impl<'a> Resolver<'a> {
    /// Returns `None` if the root cannot be opened.
    pub(super) fn new(place: &'a Place) -> Option<Self> {
        Some(Self { place, anchor: place.open().ok()?, root: place.real("").ok()?.path, folder: None })
    }

    pub(super) fn resolve(&mut self, name: &str) -> Option<Resolved> {
        let depth = name.matches('/').count();
        if depth > MAX_DEPTH || name.split('/').any(|part| part.starts_with('.')) {
            return None;
        }
        let (folder, own_name) = name.rsplit_once('/').unwrap_or(("", name));
        if self.folder.as_ref().is_none_or(|(last, _)| last != folder) {
            self.folder = Some((folder.to_owned(), self.open_folder(folder)));
        }
        let (_, open) = self.folder.as_ref()?;
        let OpenFolder { folder, is_linked } = open.as_ref()?;
        let file: Stat = statat(folder, own_name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        if !is_linked && is_regular_file(&file) {
            return Some(Resolved { bytes: size(&file), real_name: None });
        }
        let found = match self.place.real(name) {
            Ok(found) if is_regular_file(&found.stat) => found,
            // Whatever is there, reading it will fail with this reason.
            Err(error) if is_outside(&error) => {
                return Some(Resolved { bytes: size(&file), real_name: None });
            }
            _ => return None,
        };
        let real_name = found.path.strip_prefix(&self.root).ok();
        let real_name = real_name.and_then(Path::to_str).map(str::to_owned);
        Some(Resolved { bytes: size(&found.stat), real_name })
    }

    fn open_folder(&self, name: &str) -> Option<OpenFolder> {
        if let Some(opened) = self.anchor.open_without_links(name) {
            return Some(OpenFolder { folder: opened.ok()?, is_linked: false });
        }
        let found = self.place.real(name).ok().filter(|found| is_folder(&found.stat))?;
        let is_linked = found.path != if name.is_empty() { self.root.clone() } else { self.root.join(name) };
        Some(OpenFolder { folder: found.file, is_linked })
    }
}

fn size(file: &Stat) -> u64 {
    file.st_size as u64
}
