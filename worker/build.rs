//! Lets the program find libtorch where it was built against it.

use std::{env, path::PathBuf};

#[expect(clippy::disallowed_methods, reason = "cargo tells build scripts by the environment")]
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    if env::var_os("CARGO_FEATURE_MODEL").is_none() {
        return;
    }
    let folder = env::var_os("LIBTORCH").map(|libtorch| PathBuf::from(libtorch).join("lib"));
    match folder.as_ref().and_then(|folder| folder.canonicalize().ok()) {
        // DT_RPATH rather than DT_RUNPATH, since libtorch's own libraries look for one another, too.
        Some(folder) => println!("cargo:rustc-link-arg=-Wl,--disable-new-dtags,-rpath,{}", folder.display()),
        None => panic!("there is no libtorch in {folder:?}: run `make setup`, or set LIBTORCH to its folder"),
    }
}
