//! From image pixels in memory to the network's input on the device.
//!
//! Owns the copy to the device and the normalisation. Pixels are copied as bytes, a quarter of their size as f32.
//! Invariant: a buffer on the device is overwritten only after the network has read it.

use std::cell::RefCell;

use images::preprocess::{MEAN, STD};
use tch::{Cuda, Device, Kind, TchError, Tensor};

use super::{batch_memory::BatchMemory, copy_stream::CopyStream};

/// Subtracts ImageNet's mean and divides by its standard deviation, on one device.
#[derive(Debug)]
pub(super) struct Normalisation {
    mean: Tensor,
    std: Tensor,
    kind: Kind,
    device: Device,
}

impl Normalisation {
    pub(super) fn new(device: Device, kind: Kind) -> Result<Self, TchError> {
        let per_channel = |values: [f32; 3]| Tensor::f_from_slice(&values)?.f_to_device(device);
        let (mean, std) = if device.is_cuda() {
            // The mean in units of a byte, the deviation as a factor.
            (MEAN.map(|mean| mean * 255.0), STD.map(|std| 1.0 / (std * 255.0)))
        } else {
            (MEAN, STD)
        };
        Ok(Self { mean: per_channel(mean)?, std: per_channel(std)?, kind, device })
    }

    /// Turns bytes `[n, 224, 224, 3]` on its device into the network's input: `[n, 3, 224, 224]`, channels last,
    /// computed in f32 before rounding.
    pub(super) fn apply(&self, bytes: &Tensor) -> Result<Tensor, TchError> {
        let normalised = if self.device.is_cuda() { self.in_two_passes(bytes) } else { self.in_steps(bytes) };
        normalised?.f_permute([0, 3, 1, 2])
    }

    fn in_steps(&self, bytes: &Tensor) -> Result<Tensor, TchError> {
        let scaled = bytes.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?;
        scaled.f_sub(&self.mean)?.f_div(&self.std)?.f_to_kind(self.kind)
    }

    /// Two kernels instead of five, since each takes as long as its memory traffic on a GPU.
    fn in_two_passes(&self, bytes: &Tensor) -> Result<Tensor, TchError> {
        let normalised = Tensor::f_empty(bytes.size(), (self.kind, bytes.device()))?;
        bytes.f_sub(&self.mean)?.f_mul_out(&normalised, &self.std)
    }
}

/// Images on the device, `[n, 224, 224, 3]` bytes.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_passes_and_single_steps_agree() {
        let bytes = Tensor::arange(224 * 224 * 3, (Kind::Int, Device::Cpu)).remainder(256);
        let bytes = bytes.to_kind(Kind::Uint8).reshape([1, 224, 224, 3]);
        for (kind, tolerance) in [(Kind::Float, 1e-6), (Kind::BFloat16, 0.02)] {
            let steps = Normalisation::new(Device::Cpu, kind).unwrap();
            let (mean, std) = (MEAN.map(|mean| mean * 255.0), STD.map(|std| 1.0 / (std * 255.0)));
            let (mean, std) = (Tensor::from_slice(&mean), Tensor::from_slice(&std));
            let passes = Normalisation { mean, std, ..Normalisation::new(Device::Cpu, kind).unwrap() };
            let (want, got) = (steps.in_steps(&bytes).unwrap(), passes.in_two_passes(&bytes).unwrap());
            assert_eq!(got.kind(), kind);
            assert!(got.allclose(&want, tolerance, tolerance, false), "{kind:?}");
        }
    }
}
