//! The dependency check of `make lint` finds mutual imports and forbidden dependencies.

use std::{fs, path::Path, process::Command};

use tests::python::project;

/// Runs the check on these files; returns whether it passes, and its output.
fn check(files: &[(&str, &str)]) -> (bool, String) {
    let root = tempfile::tempdir().unwrap();
    for (file, source) in files {
        let file = root.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, source).unwrap();
    }
    check_folder(root.path())
}

fn check_folder(root: &Path) -> (bool, String) {
    let script = project().join("deploy/local/modules.py");
    let output = Command::new("python3").arg(script).arg(root).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

fn assert_found(files: &[(&str, &str)], message: &str) {
    let (passes, printed) = check(files);
    assert!(!passes && printed.contains(message), "{printed}");
}

#[test]
fn project_has_no_mutual_imports() {
    let (passes, printed) = check_folder(&project());
    assert!(passes, "{printed}");
    // Guard against a check that passes because it finds no imports.
    let imports = printed.lines().find_map(|line| line.split_once(" modules, ")?.1.strip_suffix(" imports"));
    assert!(imports.unwrap().parse::<usize>().unwrap() > 500, "{printed}");
}

#[test]
fn mutual_imports_are_found() {
    let lib = ("common/src/lib.rs", "mod a;\nmod b;");
    let a = ("common/src/a.rs", "use crate::b::B;\npub struct A(B);");
    assert_found(
        &[lib, a, ("common/src/b.rs", "pub struct B;\nfn f(_: super::a::A) {}")],
        "common::a imports common::b",
    );
    // Through an alias, a re-export or a submodule.
    assert_found(
        &[lib, a, ("common/src/b.rs", "use crate::a as other;\npub struct B;\nfn f() { other::g() }")],
        "common::b imports common::a",
    );
    assert_found(
        &[
            lib,
            ("common/src/a/mod.rs", "mod inner;\npub use self::inner::A;"),
            ("common/src/a/inner.rs", "use crate::b::B;\npub struct A(B);"),
            ("common/src/b.rs", "use crate::a::A;\npub struct B;"),
        ],
        "common::b imports common::a::inner",
    );
    assert_found(
        &[
            ("common/src/lib.rs", "mod a;\npub struct Shared;\nfn f() { a::g() }"),
            ("common/src/a.rs", "use crate::Shared;"),
        ],
        "common and common::a import each other",
    );
}

#[test]
fn one_way_imports_pass() {
    let (passes, printed) = check(&[
        ("common/src/lib.rs", "mod a;\nmod b;"),
        ("common/src/a.rs", "use crate::b::B; // use crate::c::C;\npub struct A(B);"),
        (
            "common/src/b.rs",
            "pub struct B;\nconst T: &str = \"use crate::a::A;\";\n#[cfg(test)]\nmod tests { use crate::a::A; }",
        ),
    ]);
    assert!(passes, "{printed}");
}

#[test]
fn forbidden_dependencies_are_found() {
    assert_found(
        &[("common/src/lib.rs", "use worker::run;"), ("worker/src/lib.rs", "pub fn run() {}")],
        "common may not depend on worker",
    );
    assert_found(
        &[("worker/src/lib.rs", "fn f() { lapin::go() }")],
        "worker uses lapin: only common::broker may",
    );
}
