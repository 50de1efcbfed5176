//! The settings of glibc's allocator, which libtorch and the decoders share with the rest of the process.

#![expect(unsafe_code, reason = "the function is foreign")]

use std::{ffi::c_int, thread};

/// See mallopt(3).
const M_TRIM_THRESHOLD: c_int = -1;
const M_MMAP_THRESHOLD: c_int = -3;
const M_ARENA_MAX: c_int = -8;

/// Memory that an arena keeps, and the size from which memory is mapped for one use. Arenas but the first also map what
/// exceeds a heap of 64 MiB.
const KEPT_BYTES: c_int = 256 << 20;

unsafe extern "C" {
    fn mallopt(parameter: c_int, value: c_int) -> c_int;
}

/// Tunes the allocator; call it before there are threads.
///
/// There is one arena per core. A file is read by one thread, decoded by another and freed by a third; with the default of
/// eight arenas per core, each of them grows to the largest use that any thread makes of it.
///
/// Freed memory is kept. By default, the large activations of each batch come as new pages from the kernel, which has to
/// clear them.
pub fn tune_allocator() {
    let cores = thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
    let arenas = c_int::try_from(cores).unwrap_or(c_int::MAX);
    for (parameter, value) in
        [(M_ARENA_MAX, arenas), (M_MMAP_THRESHOLD, KEPT_BYTES), (M_TRIM_THRESHOLD, KEPT_BYTES)]
    {
        // SAFETY: it takes two integers, and ignores a value that it does not accept.
        unsafe { mallopt(parameter, value) };
    }
}
