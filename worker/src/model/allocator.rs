//! The settings of glibc's allocator, which libtorch and the decoders share with the rest of the process.

#![expect(unsafe_code, reason = "the function is foreign")]

use std::{ffi::c_int, thread};

/// See mallopt(3).
const M_ARENA_MAX: c_int = -8;

unsafe extern "C" {
    fn mallopt(parameter: c_int, value: c_int) -> c_int;
}

/// Limits the arenas to one per core; call it before there are threads. A file is read by one thread, decoded by another
/// and freed by a third. With the default of eight arenas per core, each of them grows to the largest use that any thread
/// makes of it.
pub fn limit_arenas() {
    let cores = thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
    // SAFETY: it takes two integers, and ignores a value that it does not accept.
    unsafe { mallopt(M_ARENA_MAX, c_int::try_from(cores).unwrap_or(c_int::MAX)) };
}
