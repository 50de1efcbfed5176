//! Real images and recorded responses, which lie outside the project.
//!
//! Unit tests of other packages include this file by its path.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

/// Returns the folder of real data: `SUBWATCH_REAL_DATA`, or `shared/data` beside the project. Without it, says on
/// standard error what is `unchecked`.
#[must_use]
pub fn real_data(unchecked: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests are told their data by the environment")]
    let named = std::env::var_os("SUBWATCH_REAL_DATA").map(PathBuf::from);
    let beside =
        || Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("shared/data"));
    let found = named.into_iter().chain(beside()).find(|folder| folder.is_dir());
    if found.is_none() {
        // Written to standard error itself, which is not captured as `println!` is.
        let _ = writeln!(std::io::stderr(), "  SKIPPED: {unchecked}: there is no real data");
    }
    found
}
