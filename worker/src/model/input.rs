//! From image pixels in memory to the network's input on the device.
//!
//! Owns the copy to the device and the normalisation. Pixels travel as bytes: a quarter of what they take as f32.
//! Invariant: a buffer on the device is written only when the network has read what it held before.

use std::cell::RefCell;

use images::preprocess::{MEAN, STD};
use tch::{Cuda, Device, Kind, TchError, Tensor};

use super::{batch_memory::BatchMemory, cuda::CopyStream};

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
            // In units of a byte, and as a factor.
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

    /// Two kernels instead of five: on a GPU they take as long as their memory traffic.
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
    /// Copies while the network computes; without, libtorch copies in turns with it.
    stream: Option<CopyStream>,
    /// Two, so that one is written while the network reads the other.
    buffers: RefCell<[Option<Tensor>; 2]>,
}

impl Upload {
    /// Makes the way to `device`, which libtorch has used before on this thread.
    pub(super) fn new(device: Device) -> Self {
        let stream = device.is_cuda().then(CopyStream::new).and_then(|stream| {
            stream.inspect_err(|error| tracing::warn!(%error, "copies to the GPU wait for the network")).ok()
        });
        Self { device, stream, buffers: RefCell::default() }
    }

    /// Puts a batch on the device. What was put there two calls before must have been computed; the memory may be
    /// written again when this batch has been.
    pub(super) fn put(&self, memory: &mut BatchMemory) -> Result<Uploaded, TchError> {
        let images = memory.images()?;
        if !self.device.is_cuda() {
            return Ok(Uploaded(images));
        }
        if let Some(stream) = &self.stream {
            let buffer = self.buffer(&images)?;
            match stream.copy(&images, &buffer) {
                Ok(()) => return Ok(Uploaded(buffer)),
                Err(error) => tracing::warn!(%error, "a batch is copied to the GPU by libtorch"),
            }
        }
        Ok(Uploaded(images.f_internal_to_copy((Kind::Uint8, self.device), true)?))
    }

    /// The buffer that was used longest ago, as large as `images`.
    fn buffer(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let (shape, mut buffers) = (images.size(), self.buffers.borrow_mut());
        buffers.swap(0, 1);
        let [buffer, _] = &mut *buffers;
        let large_enough = buffer.take().filter(|buffer| buffer.size()[0] >= shape[0]);
        let buffer = buffer.insert(match large_enough {
            Some(buffer) => buffer,
            None => {
                let buffer = Tensor::f_empty(shape.as_slice(), (Kind::Uint8, self.device))?;
                // libtorch may have taken the memory from a tensor that the network is still computing with.
                synchronise(self.device);
                buffer
            }
        });
        buffer.f_narrow(0, 0, shape[0])
    }
}

/// Waits until `device` has finished what it was given.
pub(super) fn synchronise(device: Device) {
    if let Device::Cuda(number) = device {
        Cuda::synchronize(number as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_passes_give_what_the_steps_give() {
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
