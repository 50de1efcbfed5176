//! CUDA's part of libtorch, loaded at run time.
//!
//! Owns the program's only foreign calls. Linking `libtorch_cuda` would cost every CPU worker a second and
//! a gigabyte at start, and linkers drop it where nothing names a symbol of it; so one binary serves both,
//! and opens it here when a GPU is wanted.

use std::path::PathBuf;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

/// Loads CUDA support and returns how many GPUs libtorch sees.
///
/// # Errors
/// When there is no driver, or libtorch has no CUDA part that can be loaded; the text says which.
pub(super) fn load() -> Result<usize, String> {
    open("libcuda.so.1".into()).map_err(|_| "no NVIDIA driver (libcuda.so.1) is installed".to_owned())?;
    let folder = libtorch_folder().ok_or("libtorch's folder cannot be found")?;
    open(folder.join("libtorch_cuda.so"))
        .map_err(|error| format!("libtorch's CUDA part cannot be loaded: {error}"))?;
    let gpus = tch::Cuda::device_count();
    usize::try_from(gpus).map_err(|_| "libtorch cannot count the GPUs".to_owned())
}

fn open(path: PathBuf) -> Result<(), libloading::Error> {
    #[expect(
        unsafe_code,
        reason = "opening a library runs its initialisers: these are the driver's and libtorch's own"
    )]
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL)? };
    // Never closed: libtorch keeps pointers into it.
    std::mem::forget(library);
    Ok(())
}

/// The folder that the running libtorch was loaded from.
fn libtorch_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().find(|line| line.ends_with("/libtorch_cpu.so"))?.split_whitespace().last()?;
    Some(PathBuf::from(path).parent()?.to_path_buf())
}
