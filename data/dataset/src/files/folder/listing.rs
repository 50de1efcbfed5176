//! Walks a folder, and returns the sizes of files named in rows.
//!
//! Links are followed to files and folders inside the root or the allowed roots (see [`is_allowed`]). A link to what the
//! walk finds anyway, under its own name, adds nothing to it, so that each file is found once and no cycle is entered. Invariant: [`resolve`] knows each file that [`walk`] finds.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::links::is_allowed;
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

/// Calls `visit` for each entry of `root`, or of one subfolder.
pub(super) fn walk(
    root: &Path,
    subfolder: Option<&str>,
    visit: &mut dyn FnMut(Found<'_>),
) -> Result<(), FilesError> {
    let canonical = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
    let mut walk = Walk { root: canonical, visit, entered: HashSet::new() };
    match subfolder {
        None => walk.enter(root, "", MAX_DEPTH),
        Some(subfolder) => {
            let path = root.join(subfolder);
            let real = path.canonicalize().ok().filter(|real| real.is_dir() && is_allowed(&walk.root, real));
            real.map_or(Ok(()), |_| walk.enter(&path, &format!("{subfolder}/"), MAX_DEPTH - 1))
        }
    }
}

struct Walk<'a> {
    /// Canonical.
    root: PathBuf,
    visit: &'a mut dyn FnMut(Found<'_>),
    /// Device and inode of the files and folders that were reached through links.
    entered: HashSet<(u64, u64)>,
}

impl Walk<'_> {
    fn enter(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), FilesError> {
        let failed = |error: io::Error| FilesError::List {
            root: folder.display().to_string(),
            reason: error.to_string(),
        };
        // Folders and links are kept, to visit them in the order of their names; files may be millions.
        let mut others = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let kind = entry.file_type().map_err(failed)?;
            let unusable = match name.to_str() {
                None => Some(NOT_UTF8),
                Some(name) => name.contains(char::is_control).then_some(CONTROL),
            };
            let shown = format!("{prefix}{}", escaped(&name));
            if let Some(reason) = unusable {
                (self.visit)(Found::Refused { name: &shown, is_folder: kind.is_dir(), reason });
            } else if kind.is_file() {
                (self.visit)(Found::File { name: &shown, bytes: None });
            } else if kind.is_dir() || kind.is_symlink() {
                others.push((name, kind));
            }
        }
        others.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (name, kind) in others {
            let shown = format!("{prefix}{}", escaped(&name));
            let path = folder.join(name);
            if kind.is_symlink() {
                self.follow(&path, &shown, depth)?;
            } else {
                self.enter_below(&path, &shown, depth)?;
            }
        }
        Ok(())
    }

    fn follow(&mut self, link: &Path, name: &str, depth: usize) -> Result<(), FilesError> {
        let (Ok(real), Ok(target)) = (link.canonicalize(), fs::metadata(link)) else {
            (self.visit)(Found::Refused { name, is_folder: false, reason: DANGLING });
            return Ok(());
        };
        let is_folder = target.is_dir();
        if !is_allowed(&self.root, &real) {
            (self.visit)(Found::Refused { name, is_folder, reason: OUTSIDE });
        } else if self.is_new(&real, &target) {
            if is_folder {
                return self.enter_below(link, name, depth);
            }
            if target.is_file() {
                (self.visit)(Found::File { name, bytes: None });
            }
        }
        Ok(())
    }

    fn enter_below(&mut self, path: &Path, name: &str, depth: usize) -> Result<(), FilesError> {
        if depth == 0 {
            (self.visit)(Found::Refused { name, is_folder: true, reason: TOO_DEEP });
            return Ok(());
        }
        self.enter(path, &format!("{name}/"), depth - 1)
    }

    /// Whether a file or folder is found neither by its own name nor through another link.
    fn is_new(&mut self, real: &Path, target: &fs::Metadata) -> bool {
        let visible = real.strip_prefix(&self.root).is_ok_and(|below| {
            let mut parts = below.components();
            below.components().count() <= MAX_DEPTH
                && parts.all(|part| !part.as_os_str().as_encoded_bytes().starts_with(b"."))
        });
        // A link to a folder around the root would lead back into it.
        !visible && !self.root.starts_with(real) && self.entered.insert((target.dev(), target.ino()))
    }
}

/// A file that a row names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Resolved {
    pub(crate) bytes: u64,
    /// The file's name in a walk, if the row's leads through a link.
    pub(crate) real_name: Option<String>,
}

/// Finds a file. `folders` caches whether the path of a folder has links; `None` are folders that are not entered.
pub(super) fn resolve(
    root: &Path,
    name: &str,
    folders: &mut HashMap<String, Option<bool>>,
) -> Option<Resolved> {
    let depth = name.matches('/').count();
    if depth > MAX_DEPTH || name.split('/').any(|part| part.starts_with('.')) {
        return None;
    }
    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
    if !folders.contains_key(folder) {
        let path = root.join(folder);
        let canonical = root.canonicalize().ok()?;
        let real = path.canonicalize().ok().filter(|real| real.is_dir() && is_allowed(&canonical, real));
        folders.insert(folder.to_owned(), real.map(|real| real != canonical.join(folder)));
    }
    let is_folder_linked = *folders.get(folder)?.as_ref()?;
    let path = root.join(name);
    let file = fs::symlink_metadata(&path).ok()?;
    if !is_folder_linked && file.is_file() {
        return Some(Resolved { bytes: file.len(), real_name: None });
    }
    let file = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
    let real = path.canonicalize().ok()?;
    let real_name = real.strip_prefix(root.canonicalize().ok()?).ok();
    let real_name = real_name.and_then(Path::to_str).map(str::to_owned);
    Some(Resolved { bytes: file.len(), real_name })
}
