//! The check of `make lint` that no two modules import each other finds those that do.

use std::{fs, path::Path, process::Command};

use tests::python::project;

/// Runs the check over a folder with these files; returns whether it passes, and what it prints.
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

fn assert_found(files: &[(&str, &str)], complaint: &str) {
    let (passes, printed) = check(files);
    assert!(!passes && printed.contains(complaint), "{printed}");
}

#[test]
fn modules_of_the_project_do_not_import_each_other() {
    let (passes, printed) = check_folder(&project());
    assert!(passes, "{printed}");
    // A check that finds no imports would pass as well.
    let imports = printed.lines().find_map(|line| line.split_once(" modules, ")?.1.strip_suffix(" imports"));
    assert!(imports.unwrap().parse::<usize>().unwrap() > 500, "{printed}");
}

#[test]
fn modules_that_import_each_other_are_found() {
    let lib = ("common/src/lib.rs", "mod a;\nmod b;");
    let a = ("common/src/a.rs", "use crate::b::B;\npub struct A(B);");
    assert_found(
        &[lib, a, ("common/src/b.rs", "pub struct B;\nfn f(_: super::a::A) {}")],
        "common::a imports common::b",
    );
    // By way of a module, an alias or a re-export; folders count with everything in them.
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
fn imports_in_one_direction_pass() {
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
fn crates_and_third_parties_outside_their_place_are_found() {
    assert_found(
        &[("common/src/lib.rs", "use worker::run;"), ("worker/src/lib.rs", "pub fn run() {}")],
        "common may not depend on worker",
    );
    assert_found(
        &[("worker/src/lib.rs", "fn f() { lapin::go() }")],
        "worker names lapin: only common::broker may",
    );
}
