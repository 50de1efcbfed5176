//! Real images and recorded responses, stored outside the repository.
//!
//! Unit tests of other packages include this file by its path.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

/// Returns the folder of real data: `SUBWATCH_REAL_DATA`, or `shared/data` in a parent folder. If neither
/// exists, prints to standard error that `unchecked` is skipped.
#[must_use]
pub fn real_data(unchecked: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "the environment configures tests")]
    let named = std::env::var_os("SUBWATCH_REAL_DATA").map(PathBuf::from);
    let beside =
        || Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("shared/data"));
    let found = named.into_iter().chain(beside()).find(|folder| folder.is_dir());
    if found.is_none() {
        // The test harness does not capture direct writes to standard error.
        let _ = writeln!(
            std::io::stderr(),
            "  SKIPPED: {unchecked}: real data not found; set SUBWATCH_REAL_DATA"
        );
    }
    found
}
