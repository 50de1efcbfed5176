//! Runs the Python scripts of the tests, which use torchvision and Pillow, in the tests' virtual environment.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Returns the root of the repository.
#[must_use]
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the repository").to_path_buf()
}

/// Runs `tests/python/reference.py` with `arguments`.
///
/// # Panics
/// If the virtual environment is missing or the script fails.
pub fn reference(arguments: &[&str]) {
    run("reference.py", arguments);
}

/// Runs a script of `tests/python` and returns what it printed.
///
/// # Panics
/// If the virtual environment is missing or the script fails.
pub fn run(script: &str, arguments: &[&str]) -> String {
    let python = project().join(".local/test-venv/bin/python");
    assert!(python.exists(), "{} is missing: run `make test`, which installs it", python.display());
    let output = Command::new(python)
        .arg(project().join("tests/python").join(script))
        .args(arguments)
        .output()
        .expect("Python starts");
    assert!(output.status.success(), "{script} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A third-party program that some tests need; they skip a check if it is missing.
pub struct Program {
    /// Its name on the `PATH`.
    pub name: &'static str,
    /// Environment variable that overrides its path.
    pub variable: &'static str,
    /// Its path below `.local/debian13/root`.
    pub unpacked: &'static str,
}

impl Program {
    /// Returns its path, or prints that `test` skips `unchecked`.
    #[must_use]
    pub fn find(&self, test: &str, unchecked: &str) -> Option<String> {
        let Self { name, variable, unpacked } = self;
        #[expect(clippy::disallowed_methods, reason = "the environment configures tests")]
        let given = std::env::var(variable).ok();
        let unpacked = project().join(".local/debian13/root").join(unpacked).display().to_string();
        let starts = |program: &String| Command::new(program).arg("version").output().is_ok();
        let found = given.into_iter().chain([unpacked, (*name).to_owned()]).find(starts);
        if found.is_none() {
            crate::print_line(&format!(
                "SKIPPED: {test} did not check {unchecked}: {name} not found; set {variable} to its path"
            ));
        }
        found
    }
}
