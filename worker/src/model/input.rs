//! The copy of images to the device.
//!
//! A GPU is given bytes, a quarter of their size as f32. Invariant: a buffer on the device is overwritten only after the
//! network has read it.

use std::cell::RefCell;

use tch::{Cuda, Device, Kind, TchError, Tensor};

use super::{batch_memory::BatchMemory, copy_stream::CopyStream};

/// Images on the device, `[n, 224, 224, 3]`: bytes on a GPU, normalised on a CPU.
#[derive(Debug)]
pub struct Uploaded(pub(super) Tensor);

/// Copies batches to a device.
#[derive(Debug)]
pub(super) struct Upload {
    device: Device,
    /// Copies while the network computes. Without it, libtorch copies between batches.
    stream: Option<CopyStream>,
    /// One is written while the network reads the other.
    buffers: RefCell<[Option<Tensor>; 2]>,
}

impl Upload {
    /// Creates the copy stream of `device`, which libtorch must have used on this thread before.
    pub(super) fn new(device: Device) -> Self {
        let stream = device.is_cuda().then(CopyStream::new).and_then(|stream| {
            stream
                .inspect_err(|error| tracing::warn!(%error, "copies to the GPU will wait for the network"))
                .ok()
        });
        Self { device, stream, buffers: RefCell::default() }
    }

    /// Copies a batch to the device. Read the features of the batch before the last one first, and those of this batch
    /// before its memory is written again.
    pub(super) fn put(&self, memory: &mut BatchMemory) -> Result<Uploaded, TchError> {
        let images = memory.images()?;
        if !self.device.is_cuda() {
            return Ok(Uploaded(images));
        }
        if let Some(stream) = &self.stream {
            let buffer = self.buffer(&images)?;
            match stream.copy(&images, &buffer) {
                Ok(()) => return Ok(Uploaded(buffer)),
                Err(error) => {
                    tracing::warn!(%error, "libtorch copies a batch to the GPU, since the driver cannot");
                }
            }
        }
        Ok(Uploaded(images.f_internal_to_copy((Kind::Uint8, self.device), true)?))
    }

    /// The part of the buffer of the call before the last that `images` fill.
    fn buffer(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let (shape, mut buffers) = (images.size(), self.buffers.borrow_mut());
        buffers.swap(0, 1);
        let [buffer, _] = &mut *buffers;
        let large_enough = buffer.take().filter(|buffer| buffer.size()[0] >= shape[0]);
        let buffer = buffer.insert(match large_enough {
            Some(buffer) => buffer,
            None => {
                let buffer = Tensor::f_empty(shape.as_slice(), (Kind::Uint8, self.device))?;
                // libtorch may reuse the memory of a tensor that the network is still computing with.
                synchronise(self.device);
                buffer
            }
        });
        buffer.f_narrow(0, 0, shape[0])
    }
}

/// Waits until `device` has finished all work.
pub(super) fn synchronise(device: Device) {
    if let Device::Cuda(number) = device {
        Cuda::synchronize(number as i64);
    }
}
