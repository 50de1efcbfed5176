//! The Python side of the tests: torchvision and Pillow in the project's own virtual environment.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The project's folder.
#[must_use]
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the project").to_path_buf()
}

/// Runs `tests/python/reference.py` with `arguments`.
///
/// # Panics
/// When there is no virtual environment, or the script fails.
pub fn reference(arguments: &[&str]) {
    let python = project().join(".local/venv/bin/python");
    assert!(python.exists(), "{} is not there: run `make setup`", python.display());
    let output = Command::new(python)
        .arg(project().join("tests/python/reference.py"))
        .args(arguments)
        .output()
        .expect("Python starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The folder with real data, if this machine has it: `SUBWATCH_REAL_DATA`, or `shared/data` beside the
/// project. Says so where it is not there.
#[must_use]
pub fn real_data(test: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests are told their data by the environment")]
    let folder = std::env::var("SUBWATCH_REAL_DATA").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|_| project().join("../shared/data"));
    if folder.is_dir() {
        return Some(folder);
    }
    crate::say(&format!(
        "SKIPPED: {test} did not check real images, since {} is not there",
        folder.display()
    ));
    None
}
