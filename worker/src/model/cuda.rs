//! CUDA: its part of libtorch, loaded at run time, and copies to a GPU beside the network.
//!
//! Owns the program's only foreign calls. libtorch's C interface has no streams, so copies call the driver. Linking `libtorch_cuda` would cost every CPU worker a second and
//! a gigabyte at start, and linkers drop it where nothing names a symbol of it; so one binary serves both,
//! and opens it here when a GPU is wanted.

use std::{
    ffi::{c_int, c_uint, c_void},
    path::PathBuf,
    ptr,
};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use tch::{Kind, Tensor};

/// The driver.
const DRIVER: &str = "libcuda.so.1";
/// A stream that does not wait for libtorch's (`CU_STREAM_NON_BLOCKING`).
const NON_BLOCKING: c_uint = 1;

type Stream = *mut c_void;
type Copy = unsafe extern "C" fn(u64, *const c_void, usize, Stream) -> c_int;
type Synchronise = unsafe extern "C" fn(Stream) -> c_int;

/// A stream of copies to a GPU, beside the one on which libtorch computes. Belongs to one thread.
#[derive(Debug)]
pub(super) struct CopyStream {
    stream: Stream,
    copy: Copy,
    synchronise: Synchronise,
}

impl CopyStream {
    /// Makes a stream of the GPU that libtorch has used on this thread.
    ///
    /// # Errors
    /// When the driver refuses.
    pub(super) fn new() -> Result<Self, String> {
        type Create = unsafe extern "C" fn(*mut Stream, c_uint) -> c_int;
        let driver = open(DRIVER.into()).map_err(|error| error.to_string())?;
        let mut stream = ptr::null_mut();
        // SAFETY: the types are those of `cuda.h` for these three functions, and `stream` is valid to write.
        #[expect(unsafe_code, reason = "the driver's functions are foreign")]
        let (created, copy, synchronise) = unsafe {
            let create = *driver.get::<Create>(b"cuStreamCreate\0").map_err(|error| error.to_string())?;
            let copy = *driver.get::<Copy>(b"cuMemcpyHtoDAsync_v2\0").map_err(|error| error.to_string())?;
            let synchronise = driver.get::<Synchronise>(b"cuStreamSynchronize\0");
            let synchronise = *synchronise.map_err(|error| error.to_string())?;
            (create(&raw mut stream, NON_BLOCKING), copy, synchronise)
        };
        // Never closed, so that the functions stay.
        std::mem::forget(driver);
        succeeded("cuStreamCreate", created)?;
        Ok(Self { stream, copy, synchronise })
    }

    /// Copies the bytes of `from`, in memory, to `to`, on the GPU, and waits for the copy alone.
    ///
    /// # Errors
    /// When the driver refuses.
    pub(super) fn copy(&self, from: &Tensor, to: &Tensor) -> Result<(), String> {
        let are_bytes = |tensor: &Tensor| tensor.kind() == Kind::Uint8 && tensor.is_contiguous();
        assert!(are_bytes(from) && are_bytes(to) && from.size() == to.size());
        assert!(!from.device().is_cuda() && to.device().is_cuda());
        // SAFETY: both pointers are valid for `numel` bytes until the copy has ended, which the second call waits for.
        #[expect(unsafe_code, reason = "the driver's functions are foreign")]
        let (copied, ended) = unsafe {
            let copied = (self.copy)(to.data_ptr() as u64, from.data_ptr(), from.numel(), self.stream);
            (copied, (self.synchronise)(self.stream))
        };
        succeeded("cuMemcpyHtoDAsync", copied)?;
        succeeded("cuStreamSynchronize", ended)
    }
}

fn succeeded(function: &str, status: c_int) -> Result<(), String> {
    if status == 0 { Ok(()) } else { Err(format!("{function} failed with CUDA error {status}")) }
}

/// Loads CUDA support and returns how many GPUs libtorch sees.
///
/// # Errors
/// When there is no driver, or libtorch has no CUDA part that can be loaded; the text says which.
pub(super) fn load() -> Result<usize, String> {
    let driver = open(DRIVER.into()).map_err(|_| format!("no NVIDIA driver ({DRIVER}) is installed"))?;
    let folder = libtorch_folder().ok_or("libtorch's folder cannot be found")?;
    let part = open(folder.join("libtorch_cuda.so"))
        .map_err(|error| format!("libtorch's CUDA part cannot be loaded: {error}"))?;
    // Never closed: libtorch keeps pointers into them.
    std::mem::forget((driver, part));
    let gpus = tch::Cuda::device_count();
    usize::try_from(gpus).map_err(|_| "libtorch cannot count the GPUs".to_owned())
}

fn open(path: PathBuf) -> Result<Library, libloading::Error> {
    #[expect(
        unsafe_code,
        reason = "opening a library runs its initialisers: these are the driver's and libtorch's own"
    )]
    // SAFETY: neither of the two libraries expects anything of the program when it is loaded.
    unsafe {
        Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL)
    }
}

/// The folder that the running libtorch was loaded from.
fn libtorch_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().find(|line| line.ends_with("/libtorch_cpu.so"))?.split_whitespace().last()?;
    Some(PathBuf::from(path).parent()?.to_path_buf())
}
