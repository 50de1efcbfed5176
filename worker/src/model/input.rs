//! From image pixels in memory to the network's input on the device.
//!
//! Owns the staging buffers, the copy to the device and the normalisation. Pixels are copied as bytes, a quarter of
//! their size as f32. Invariant: a buffer is overwritten only after the device has read it.

use std::cell::RefCell;

use images::preprocess::{MEAN, Pixels, SIDE, STD};
use tch::{Device, Kind, TchError, Tensor};

/// Width and height of an image, as libtorch counts.
const SIDE_LENGTH: i64 = SIDE as i64;

/// Subtracts ImageNet's mean and divides by its standard deviation, on one device.
#[derive(Debug)]
pub(super) struct Normalisation {
    mean: Tensor,
    std: Tensor,
    kind: Kind,
}

impl Normalisation {
    pub(super) fn new(device: Device, kind: Kind) -> Result<Self, TchError> {
        let per_channel =
            |values: [f32; 3]| Tensor::f_from_slice(&values)?.f_reshape([1, 3, 1, 1])?.f_to_device(device);
        Ok(Self { mean: per_channel(MEAN)?, std: per_channel(STD)?, kind })
    }

    /// Turns bytes `[n, 224, 224, 3]` on its device into the network's input: `[n, 3, 224, 224]`, channels last,
    /// computed in f32 before rounding.
    pub(super) fn apply(&self, bytes: &Tensor) -> Result<Tensor, TchError> {
        bytes
            .f_permute([0, 3, 1, 2])?
            .f_to_kind(Kind::Float)?
            .f_div_scalar(255.0)?
            .f_sub(&self.mean)?
            .f_div(&self.std)?
            .f_to_kind(self.kind)
    }
}

/// Bytes of images, `[n, 224, 224, 3]`, in memory that the device can read.
#[derive(Debug)]
pub struct Staged(Tensor);

/// Two buffers for batches: one is filled while the device reads the other.
#[derive(Debug)]
pub(super) struct Staging {
    device: Device,
    buffers: RefCell<[Option<Tensor>; 2]>,
}

impl Staging {
    pub(super) fn new(device: Device) -> Self {
        Self { device, buffers: RefCell::default() }
    }

    /// Copies images to the buffer of the call before the last; the features of that batch must have been read.
    pub(super) fn gather(&self, images: &[Pixels]) -> Result<Staged, TchError> {
        let count = images.len() as i64;
        let mut buffers = self.buffers.borrow_mut();
        buffers.swap(0, 1);
        let [buffer, _] = &mut *buffers;
        let large_enough = buffer.take().filter(|buffer| buffer.size()[0] >= count);
        let buffer = buffer.insert(match large_enough {
            Some(buffer) => buffer,
            None => self.allocate(count)?,
        });
        for (at, image) in (0..).zip(images) {
            let bytes = Tensor::f_from_data_size(&image.0, &[1, SIDE_LENGTH, SIDE_LENGTH, 3], Kind::Uint8)?;
            buffer.f_narrow(0, at, 1)?.f_copy_(&bytes)?;
        }
        Ok(Staged(buffer.f_narrow(0, 0, count)?))
    }

    /// Page-locked memory for a GPU, so that copies are asynchronous; ordinary memory if the system has too little.
    fn allocate(&self, images: i64) -> Result<Tensor, TchError> {
        let buffer = Tensor::f_zeros([images, SIDE_LENGTH, SIDE_LENGTH, 3], (Kind::Uint8, Device::Cpu))?;
        if !self.device.is_cuda() {
            return Ok(buffer);
        }
        Ok(buffer.f_internal_pin_memory(self.device).unwrap_or_else(|error| {
            tracing::warn!(images, %error, "cannot allocate page-locked memory; copies to the GPU will be synchronous");
            buffer
        }))
    }

    /// Copies images to the device. On a GPU, this may return before the copy is complete.
    pub(super) fn upload(&self, staged: &Staged) -> Result<Tensor, TchError> {
        if self.device.is_cuda() {
            staged.0.f_internal_to_copy((Kind::Uint8, self.device), true)
        } else {
            Ok(staged.0.shallow_clone())
        }
    }
}
