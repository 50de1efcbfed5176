//! Memory in which several threads gather the images of one batch.
//!
//! Owns where each image is written, so that decoders write where the device reads. Invariants: each place is handed out
//! once before the memory is cleared; the memory is read or cleared only while no place is out.

use std::{
    slice,
    sync::{
        Arc, Mutex,
        atomic::{AtomicPtr, Ordering},
    },
};

use images::preprocess::{BYTES, Pixels, SIDE};
use tch::{Device, Kind, TchError, Tensor};

/// Width and height, as libtorch counts.
const SIDE_LENGTH: i64 = SIDE as i64;

/// Allocates memory that one device reads.
#[derive(Clone, Copy, Debug)]
pub struct MemorySource {
    pub(super) device: Device,
}

/// Memory for the images of one batch.
#[derive(Debug)]
pub struct BatchMemory {
    shared: Arc<Shared>,
    taken: usize,
    places: usize,
}

/// Where one image is written.
#[derive(Debug)]
pub struct Place {
    shared: Arc<Shared>,
    at: usize,
}

#[derive(Debug)]
struct Shared {
    /// `[places, 224, 224, 3]` bytes; locked only to be read by libtorch.
    images: Mutex<Tensor>,
    /// Its first byte.
    start: AtomicPtr<u8>,
}

impl MemorySource {
    #[cfg(test)]
    pub(crate) fn on_cpu() -> Self {
        Self { device: Device::Cpu }
    }

    /// Allocates memory for `images` images: page-locked for a GPU, which then copies without the CPU.
    ///
    /// # Errors
    /// When there is too little memory.
    pub fn allocate(self, images: usize) -> Result<BatchMemory, TchError> {
        let shape = [images as i64, SIDE_LENGTH, SIDE_LENGTH, 3];
        let mut memory = Tensor::f_zeros(shape, (Kind::Uint8, Device::Cpu))?;
        if self.device.is_cuda() {
            // A system may have little memory that can be locked.
            match memory.f_internal_pin_memory(self.device) {
                Ok(locked) => memory = locked,
                Err(error) => {
                    tracing::warn!(images, %error, "no page-locked memory, copies to the GPU are slow");
                }
            }
        }
        let start = AtomicPtr::new(memory.data_ptr().cast());
        Ok(BatchMemory {
            shared: Arc::new(Shared { images: Mutex::new(memory), start }),
            taken: 0,
            places: images,
        })
    }
}

impl BatchMemory {
    /// How many places have been handed out.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Hands out the next place; `None` when it is full.
    pub fn take_place(&mut self) -> Option<Place> {
        let at = self.taken;
        (at < self.places).then(|| {
            self.taken += 1;
            Place { shared: self.shared.clone(), at }
        })
    }

    /// Makes all places free again.
    ///
    /// # Panics
    /// When a place is out.
    pub fn clear(&mut self) {
        self.exclusively();
        self.taken = 0;
    }

    /// Copies `images` to its places.
    ///
    /// # Panics
    /// When there are more images than places, or a place is out.
    pub fn fill(&mut self, images: &[Pixels]) {
        self.clear();
        for image in images {
            let mut place = self.take_place().expect("there are as many places as images");
            place.bytes_mut().copy_from_slice(&image.0);
        }
    }

    /// The images in the places handed out, `[taken, 224, 224, 3]` bytes in the same memory.
    ///
    /// # Panics
    /// When a place is out.
    pub(super) fn images(&mut self) -> Result<Tensor, TchError> {
        let taken = self.taken as i64;
        self.exclusively().images.get_mut().expect("no holder of this lock panics").f_narrow(0, 0, taken)
    }

    fn exclusively(&mut self) -> &mut Shared {
        Arc::get_mut(&mut self.shared).expect("no place is out")
    }
}

impl Place {
    /// Its number, from 0 in the order in which places are handed out.
    #[must_use]
    pub fn number(&self) -> usize {
        self.at
    }

    /// The bytes of its image: 224×224 RGB, row by row.
    #[expect(unsafe_code, reason = "libtorch lends its memory as a pointer only")]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let start = self.shared.start.load(Ordering::Relaxed);
        // SAFETY: `at` is less than the number of images in `images`, which `shared` keeps alive, and each image has
        // `BYTES` contiguous bytes. No other place has this `at` and libtorch does not read: both would need the memory
        // to itself, while this place shares it.
        unsafe { slice::from_raw_parts_mut(start.add(self.at * BYTES), BYTES) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_lie_where_their_places_are() {
        let mut memory = MemorySource { device: Device::Cpu }.allocate(3).unwrap();
        let mut places = [memory.take_place().unwrap(), memory.take_place().unwrap()];
        std::thread::scope(|scope| {
            for (value, place) in (7..).zip(&mut places) {
                scope.spawn(move || place.bytes_mut().fill(value));
            }
        });
        drop(places);
        let images = memory.images().unwrap();
        assert_eq!(images.size(), [2, SIDE_LENGTH, SIDE_LENGTH, 3]);
        let per_image = images.reshape([2, -1]).to_kind(Kind::Int);
        let extremes = (per_image.amin([1_i64].as_slice(), false), per_image.amax([1_i64].as_slice(), false));
        assert_eq!(extremes, (Tensor::from_slice(&[7, 8]), Tensor::from_slice(&[7, 8])));
        assert!(memory.take_place().is_some() && memory.take_place().is_none());
    }

    #[test]
    #[should_panic(expected = "no place is out")]
    fn memory_that_is_being_written_is_not_read() {
        let mut memory = MemorySource { device: Device::Cpu }.allocate(1).unwrap();
        let _place = memory.take_place();
        let _ = memory.images();
    }
}
