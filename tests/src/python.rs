//! The Python side of the tests: torchvision and Pillow in a virtual environment of the tests.

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
    run("reference.py", arguments);
}

/// Runs a script of `tests/python` and returns what it printed.
///
/// # Panics
/// When there is no virtual environment, or the script fails.
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

/// A program of others that tests use where there is one.
pub struct Program {
    /// Its name on the search path.
    pub name: &'static str,
    /// The environment variable that names another.
    pub named_by: &'static str,
    /// Where it lies below `.local/debian13/root`.
    pub unpacked: &'static str,
}

impl Program {
    /// Finds it, or says what `test` does not check without it.
    #[must_use]
    pub fn find(&self, test: &str, unchecked: &str) -> Option<String> {
        let Self { name, named_by, unpacked } = self;
        #[expect(clippy::disallowed_methods, reason = "tests are told their programs by the environment")]
        let given = std::env::var(named_by).ok();
        let unpacked = project().join(".local/debian13/root").join(unpacked).display().to_string();
        let starts = |program: &String| Command::new(program).arg("version").output().is_ok();
        let found = given.into_iter().chain([unpacked, (*name).to_owned()]).find(starts);
        if found.is_none() {
            crate::say(&format!(
                "SKIPPED: {test} did not check {unchecked}, since there is no {name}; {named_by} may name one"
            ));
        }
        found
    }
}
