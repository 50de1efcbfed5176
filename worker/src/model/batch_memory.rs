//! Memory in which several threads gather the images of one batch.
//!
//! Decoder threads write images straight into the memory that the device reads: as bytes for a GPU, which normalises them,
//! and as normalised numbers for a CPU. Invariants: each place is taken at most once before the memory is cleared; the
//! memory is read or cleared only while all taken places are dropped.

use std::{
    convert::Infallible,
    slice,
    sync::{
        Arc, Mutex,
        atomic::{AtomicPtr, Ordering},
    },
};

use images::preprocess::{BYTES, Pixels, SIDE};
use tch::{Device, Kind, TchError, Tensor};

use super::normalisation::Table;

/// Width and height of an image, as libtorch counts.
const SIDE_LENGTH: i64 = SIDE as i64;

/// Allocates memory that one device reads.
#[derive(Clone, Debug)]
pub struct MemorySource {
    device: Device,
    /// Normalises images while they are written.
    table: Option<Arc<Table>>,
}

/// Memory for the images of one batch.
#[derive(Debug)]
pub struct BatchMemory {
    shared: Arc<Shared>,
    taken: usize,
    places: usize,
}

/// Memory for one image of a batch.
#[derive(Debug)]
pub struct Place {
    shared: Arc<Shared>,
    index: usize,
}

#[derive(Debug)]
struct Shared {
    /// `[places, 224, 224, 3]`. The lock only makes the tensor shareable; it is never taken.
    images: Mutex<Tensor>,
    /// The first byte of `images`.
    start: AtomicPtr<u8>,
    table: Option<Arc<Table>>,
}

impl MemorySource {
    /// Memory of a CPU, for numbers of `kind`.
    pub(super) fn on_cpu(kind: Kind) -> Self {
        Self { device: Device::Cpu, table: Some(Arc::new(Table::new(kind))) }
    }

    /// Memory from which bytes are copied to a GPU.
    pub(super) fn for_gpu(device: Device) -> Self {
        Self { device, table: None }
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self::on_cpu(Kind::Float)
    }

    /// Allocates memory for `images` images, page-locked for a GPU, so that copies are fast; ordinary memory if the
    /// system has too little.
    ///
    /// # Errors
    /// If there is too little memory.
    pub fn allocate(&self, images: usize) -> Result<BatchMemory, TchError> {
        let shape = [images as i64, SIDE_LENGTH, SIDE_LENGTH, 3];
        let kind = self.table.as_ref().map_or(Kind::Uint8, |table| table.kind());
        let mut memory = Tensor::f_zeros(shape, (kind, Device::Cpu))?;
        if self.device.is_cuda() {
            match memory.f_internal_pin_memory(self.device) {
                Ok(locked) => memory = locked,
                Err(error) => {
                    tracing::warn!(images, %error, "cannot allocate page-locked memory; copies to the GPU will be slow");
                }
            }
        }
        let start = AtomicPtr::new(memory.data_ptr().cast());
        Ok(BatchMemory {
            shared: Arc::new(Shared { images: Mutex::new(memory), start, table: self.table.clone() }),
            taken: 0,
            places: images,
        })
    }
}

impl BatchMemory {
    /// Number of places taken since the memory was cleared.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Number of images it has memory for.
    #[must_use]
    pub fn places(&self) -> usize {
        self.places
    }

    /// Takes the next place; `None` if the memory is full.
    pub fn take_place(&mut self) -> Option<Place> {
        let index = self.taken;
        (index < self.places).then(|| {
            self.taken += 1;
            Place { shared: self.shared.clone(), index }
        })
    }

    /// Frees all places.
    ///
    /// # Panics
    /// If a place is in use.
    pub fn clear(&mut self) {
        self.exclusively();
        self.taken = 0;
    }

    /// Clears the memory and copies `images` to it.
    ///
    /// # Panics
    /// If there are more images than places, or a place is in use.
    pub fn fill(&mut self, images: &[Pixels]) {
        self.clear();
        for image in images {
            let mut place = self.take_place().expect("there are as many places as images");
            let copy = |bytes: &mut [u8]| {
                bytes.copy_from_slice(&image.0);
                Ok::<_, Infallible>(())
            };
            let Ok(()) = place.write(copy);
        }
    }

    /// The images in the places that were taken, `[taken, 224, 224, 3]` in the same memory.
    ///
    /// # Panics
    /// If a place is in use.
    pub(super) fn images(&mut self) -> Result<Tensor, TchError> {
        let taken = self.taken as i64;
        self.exclusively().images.get_mut().expect("no holder of this lock panics").f_narrow(0, 0, taken)
    }

    fn exclusively(&mut self) -> &mut Shared {
        Arc::get_mut(&mut self.shared).expect("no place is in use")
    }
}

impl Place {
    /// Index of the image in the batch.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Lets `write` write its image: 224×224 RGB, row by row.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn write<E>(&mut self, write: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<(), E> {
        let shared = self.shared.clone();
        let Some(table) = &shared.table else { return write(self.bytes_mut(BYTES)) };
        let mut pixels = vec![0; BYTES];
        write(&mut pixels)?;
        table.normalise(&pixels, self.bytes_mut(BYTES * table.kind().elt_size_in_bytes()));
        Ok(())
    }

    /// The memory of its image, which has `size` bytes.
    #[expect(unsafe_code, reason = "libtorch returns its memory only as a pointer")]
    fn bytes_mut(&mut self, size: usize) -> &mut [u8] {
        let start = self.shared.start.load(Ordering::Relaxed);
        // SAFETY: `index` is less than the number of images in `images`, which `shared` keeps alive, and each image has
        // `size` contiguous bytes. No other place has this index, since `clear` panics while a place exists. libtorch
        // is given the memory by `images`, which panics likewise, and has read it before the memory is cleared.
        unsafe { slice::from_raw_parts_mut(start.add(self.index * size), size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_in_the_order_of_their_places() {
        let mut memory = MemorySource::for_gpu(Device::Cpu).allocate(3).unwrap();
        let mut places = [memory.take_place().unwrap(), memory.take_place().unwrap()];
        std::thread::scope(|scope| {
            for (value, place) in (7..).zip(&mut places) {
                scope.spawn(move || {
                    place.write(|bytes| {
                        bytes.fill(value);
                        Ok::<_, Infallible>(())
                    })
                });
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
    #[should_panic(expected = "no place is in use")]
    fn memory_that_is_being_written_is_not_read() {
        let mut memory = MemorySource::for_tests().allocate(1).unwrap();
        let _place = memory.take_place();
        let _ = memory.images();
    }
}
