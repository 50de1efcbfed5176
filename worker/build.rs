//! Compiles the calls of oneDNN's operators, and lets the program find libtorch where it was built against it.

#[cfg(feature = "model")]
use std::{
    env,
    path::{Path, PathBuf},
};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    #[cfg(feature = "model")]
    use_libtorch();
}

#[cfg(feature = "model")]
#[expect(clippy::disallowed_methods, reason = "cargo tells build scripts by the environment")]
fn use_libtorch() {
    let hint = "run `make setup`, or set LIBTORCH to the folder of libtorch";
    let libtorch = env::var_os("LIBTORCH").unwrap_or_else(|| panic!("LIBTORCH is not set: {hint}"));
    let libtorch = PathBuf::from(libtorch);
    compile(&libtorch);
    let folder = libtorch.join("lib");
    match folder.canonicalize() {
        // DT_RPATH rather than DT_RUNPATH, since libtorch's own libraries look for one another, too.
        Ok(folder) => println!("cargo:rustc-link-arg=-Wl,--disable-new-dtags,-rpath,{}", folder.display()),
        Err(error) => panic!("LIBTORCH: {}: {error}: {hint}", folder.display()),
    }
}

#[cfg(feature = "model")]
fn compile(libtorch: &Path) {
    println!("cargo:rerun-if-changed=src/model/onednn.cpp");
    let include = libtorch.join("include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .flag("-isystem")
        .flag(&include)
        .file("src/model/onednn.cpp")
        .compile("subwatch_onednn");
}
