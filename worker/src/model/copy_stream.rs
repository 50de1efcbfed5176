//! Copies to a GPU while the network computes.
//!
//! libtorch's C interface has no streams, so this module calls the driver. Invariant: a copy has ended when
//! [`CopyStream::copy`] returns.

use std::{
    ffi::{c_int, c_uint, c_void},
    ptr,
};

use tch::{Kind, Tensor};

use super::device::{self, DRIVER};

/// `CU_STREAM_NON_BLOCKING` of `cuda.h`: the stream does not wait for libtorch's.
const NON_BLOCKING: c_uint = 1;

type Stream = *mut c_void;
type Create = unsafe extern "C" fn(*mut Stream, c_uint) -> c_int;
type Copy = unsafe extern "C" fn(u64, *const c_void, usize, Stream) -> c_int;
type Synchronise = unsafe extern "C" fn(Stream) -> c_int;

/// A stream of copies to a GPU, besides the stream on which libtorch computes. It belongs to one thread.
#[derive(Debug)]
pub(super) struct CopyStream {
    stream: Stream,
    copy: Copy,
    synchronise: Synchronise,
}

impl CopyStream {
    /// Creates a stream on the GPU that libtorch has used on this thread.
    ///
    /// # Errors
    /// If the driver cannot be opened, lacks a function, or returns an error.
    pub(super) fn new() -> Result<Self, String> {
        let driver = device::open(DRIVER.into()).map_err(|error| error.to_string())?;
        let mut stream = ptr::null_mut();
        // SAFETY: the types are those of `cuda.h` for these three functions, the driver is never closed, and `stream`
        // is valid to write.
        #[expect(unsafe_code, reason = "the driver's functions are foreign")]
        let (created, copy, synchronise) = unsafe {
            let create = *driver.get::<Create>(b"cuStreamCreate\0").map_err(|error| error.to_string())?;
            let copy = *driver.get::<Copy>(b"cuMemcpyHtoDAsync_v2\0").map_err(|error| error.to_string())?;
            let synchronise = driver.get::<Synchronise>(b"cuStreamSynchronize\0");
            let synchronise = *synchronise.map_err(|error| error.to_string())?;
            (create(&raw mut stream, NON_BLOCKING), copy, synchronise)
        };
        check("cuStreamCreate", created)?;
        Ok(Self { stream, copy, synchronise })
    }

    /// Copies the bytes of `from`, in memory, to `to`, on the GPU, and waits for the copy alone.
    ///
    /// # Errors
    /// If the driver returns an error.
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
        check("cuMemcpyHtoDAsync", copied)?;
        check("cuStreamSynchronize", ended)
    }
}

fn check(function: &str, status: c_int) -> Result<(), String> {
    if status == 0 { Ok(()) } else { Err(format!("{function} failed with CUDA error {status}")) }
}
