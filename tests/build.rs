//! Links the tests with an rpath to the libtorch that the worker was built against.

use std::{env, path::PathBuf};

#[expect(clippy::disallowed_methods, reason = "cargo configures build scripts through the environment")]
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let folder = env::var_os("LIBTORCH").map(|libtorch| PathBuf::from(libtorch).join("lib"));
    match folder.as_ref().and_then(|folder| folder.canonicalize().ok()) {
        // DT_RPATH, not DT_RUNPATH: it also applies to the dependencies among libtorch's own libraries.
        Some(folder) => println!("cargo:rustc-link-arg=-Wl,--disable-new-dtags,-rpath,{}", folder.display()),
        None => panic!("libtorch not found in {folder:?}: run `make setup`, or set LIBTORCH to its folder"),
    }
}
