//! Lists the files of a folder with their sizes.
//!
//! Invariant: [`listed_size`] returns a size for exactly the files that [`list`] returns.

use std::{collections::HashMap, fs, io, path::Path};

use crate::files::{error::FilesError, name::ListedFile};

/// Maximum depth of listed folders.
pub(super) const MAX_DEPTH: usize = 8;

/// Lists the files in `root`, or in one subfolder, whose names pass `filter`.
pub(super) fn list(
    root: &Path,
    subfolder: Option<&str>,
    filter: fn(&str) -> bool,
) -> Result<Vec<ListedFile>, FilesError> {
    let mut listing = FolderListing { filter, files: Vec::new() };
    match subfolder {
        None => listing.add(root, "", MAX_DEPTH)?,
        Some(subfolder) if is_folder(&root.join(subfolder)) => {
            listing.add(&root.join(subfolder), &format!("{subfolder}/"), MAX_DEPTH - 1)?;
        }
        Some(_) => {}
    }
    Ok(listing.files)
}

struct FolderListing {
    filter: fn(&str) -> bool,
    files: Vec<ListedFile>,
}

impl FolderListing {
    fn add(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), FilesError> {
        let failed = |error: io::Error| FilesError::List {
            root: folder.display().to_string(),
            reason: error.to_string(),
        };
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if is_hidden(&name) {
                continue;
            }
            let name = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() && depth > 0 {
                self.add(&entry.path(), &format!("{name}/"), depth - 1)?;
            } else if !kind.is_dir()
                && (self.filter)(&name)
                && let Some(bytes) = file_size(&entry.path())
            {
                self.files.push((name.into_boxed_str(), bytes));
            }
        }
        Ok(())
    }
}

/// Returns the size of a file if [`list`] would return it. `folders` caches which folders a listing enters.
pub(super) fn listed_size(root: &Path, name: &str, folders: &mut HashMap<String, bool>) -> Option<u64> {
    let mut folder = name;
    for _ in 0..=MAX_DEPTH {
        let Some((parent, _)) = folder.rsplit_once('/') else {
            let hidden = name.split('/').any(is_hidden);
            return if hidden { None } else { file_size(&root.join(name)) };
        };
        folder = parent;
        let entered = match folders.get(folder) {
            Some(entered) => *entered,
            None => *folders.entry(folder.to_owned()).or_insert_with(|| is_folder(&root.join(folder))),
        };
        if !entered {
            return None;
        }
    }
    None
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// Follows symbolic links to files; a link that points outside the root is rejected when it is read.
fn file_size(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|metadata| metadata.len())
}
