//! Where symbolic links in a dataset may lead.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// Canonical folders that links may lead to, besides the root that they are in.
static LINK_TARGETS: OnceLock<Vec<PathBuf>> = OnceLock::new();

/// Allows links to lead below these canonical folders. Only the first call of a process counts.
pub(in crate::files) fn allow_links_to(folders: Vec<PathBuf>) {
    // A later call comes from another part of the same program, which has the same settings.
    let _ = LINK_TARGETS.set(folders);
}

/// Whether `real` may be read in a dataset with this root. Both are canonical.
pub(super) fn is_allowed(root: &Path, real: &Path) -> bool {
    let others = LINK_TARGETS.get().into_iter().flatten();
    real.starts_with(root) || others.into_iter().any(|target| real.starts_with(target))
}
