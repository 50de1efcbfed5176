//! What an error of libtorch means for the next batches.

/// A kind of error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// The device has too little memory for the batch.
    OutOfMemory,
    /// The process can no longer use the GPU.
    DeviceLost,
    Other,
}

impl Fault {
    /// Interprets a message of libtorch, which has no other codes.
    pub(crate) fn of(message: &str) -> Self {
        const OUT_OF_MEMORY: [&str; 3] = ["out of memory", "ALLOC_FAILED", "can't allocate memory"];
        // After most errors of CUDA, each later call of the process fails too.
        const DEVICE_LOST: [&str; 2] = ["CUDA error", "STATUS_EXECUTION_FAILED"];
        let is_any = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
        if is_any(&OUT_OF_MEMORY) {
            Self::OutOfMemory
        } else if is_any(&DEVICE_LOST) {
            Self::DeviceLost
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_libtorch_are_told_apart() {
        let checks = [
            (
                Fault::OutOfMemory,
                "CUDA out of memory. Tried to allocate 98.00 MiB. GPU 0 has a total capacity of 79 GiB",
            ),
            (Fault::OutOfMemory, "CUDA error: out of memory"),
            (Fault::OutOfMemory, "cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
            (Fault::OutOfMemory, "alloc_cpu.cpp:128] err == 0. DefaultCPUAllocator: can't allocate memory"),
            (Fault::DeviceLost, "CUDA error: an illegal memory access was encountered"),
            (Fault::DeviceLost, "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
            (Fault::Other, "Expected 4-dimensional input for 4-dimensional weight"),
        ];
        for (fault, message) in checks {
            assert_eq!(Fault::of(message), fault, "{message}");
        }
    }
}
