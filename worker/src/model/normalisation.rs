//! From bytes to the network's input: minus ImageNet's mean, divided by its standard deviation.
//!
//! A GPU normalises batches. A CPU's images are normalised one by one by the threads that decode them, through a table of
//! all values: libtorch would make five passes over a batch in memory. Invariant: a CPU's numbers are those of libtorch's
//! `(x / 255 - mean) / std` in f32, rounded to the kind of the network.

use half::bf16;
use images::preprocess::{MEAN, STD};
use tch::{Device, Kind, TchError, Tensor};

/// The normalised values of the 256 bytes, for each channel.
type Values<T> = [[T; 256]; 3];

/// Normalises images for a CPU.
#[derive(Debug)]
pub(super) enum Table {
    Float(Box<Values<f32>>),
    BFloat16(Box<Values<bf16>>),
}

impl Table {
    /// Makes the table for a network of `kind`: f32 or bf16.
    pub(super) fn new(kind: Kind) -> Self {
        let value = |channel: usize, byte: usize| (byte as f32 / 255.0 - MEAN[channel]) / STD[channel];
        let values = std::array::from_fn(|channel| std::array::from_fn(|byte| value(channel, byte)));
        match kind {
            Kind::BFloat16 => Self::BFloat16(Box::new(values.map(|channel| channel.map(bf16::from_f32)))),
            _ => Self::Float(Box::new(values)),
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Float(_) => Kind::Float,
            Self::BFloat16(_) => Kind::BFloat16,
        }
    }

    /// Writes the numbers of `pixels`, RGB bytes, to `target`, as memory of libtorch.
    pub(super) fn normalise(&self, pixels: &[u8], target: &mut [u8]) {
        match self {
            Self::Float(values) => write(values, pixels, target, f32::to_ne_bytes),
            Self::BFloat16(values) => write(values, pixels, target, bf16::to_ne_bytes),
        }
    }
}

fn write<T: Copy, const SIZE: usize>(
    [red, green, blue]: &Values<T>,
    pixels: &[u8],
    target: &mut [u8],
    bytes: impl Fn(T) -> [u8; SIZE],
) {
    let target = target.as_chunks_mut::<SIZE>().0.as_chunks_mut::<3>().0;
    for (to, [r, g, b]) in target.iter_mut().zip(pixels.as_chunks::<3>().0) {
        *to = [red[usize::from(*r)], green[usize::from(*g)], blue[usize::from(*b)]].map(&bytes);
    }
}

/// Normalises batches on a GPU, in two kernels, since each takes as long as its memory traffic.
#[derive(Debug)]
pub(super) struct OnGpu {
    /// In units of a byte.
    mean: Tensor,
    factor: Tensor,
    kind: Kind,
}

impl OnGpu {
    pub(super) fn new(device: Device, kind: Kind) -> Result<Self, TchError> {
        let per_channel = |values: [f32; 3]| Tensor::f_from_slice(&values)?.f_to_device(device);
        let mean = per_channel(MEAN.map(|mean| mean * 255.0))?;
        Ok(Self { mean, factor: per_channel(STD.map(|std| 1.0 / (std * 255.0)))?, kind })
    }

    /// Normalises bytes `[n, 224, 224, 3]` in f32, before rounding.
    pub(super) fn apply(&self, bytes: &Tensor) -> Result<Tensor, TchError> {
        let normalised = Tensor::f_empty(bytes.size(), (self.kind, bytes.device()))?;
        bytes.f_sub(&self.mean)?.f_mul_out(&normalised, &self.factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes `[1, 1, 256, 3]` with each value in each channel, and what libtorch makes of them.
    fn all_bytes(kind: Kind) -> (Vec<u8>, Tensor) {
        let bytes: Vec<u8> = (0..=255).flat_map(|byte| [byte, 255 - byte, byte ^ 85]).collect();
        let tensor = Tensor::from_slice(&bytes).reshape([1, 1, 256, 3]).to_kind(Kind::Float) / 255.0;
        let (mean, std) = (Tensor::from_slice(&MEAN), Tensor::from_slice(&STD));
        (bytes, ((tensor - mean) / std).to_kind(kind))
    }

    #[test]
    fn table_has_the_numbers_of_libtorch() {
        for kind in [Kind::Float, Kind::BFloat16] {
            let (bytes, want) = all_bytes(kind);
            let table = Table::new(kind);
            assert_eq!(table.kind(), kind);
            let size = kind.elt_size_in_bytes();
            let mut got = vec![0; bytes.len() * size];
            table.normalise(&bytes, &mut got);
            let mut memory = vec![0; bytes.len() * size];
            want.copy_data_u8(&mut memory, bytes.len());
            assert_eq!(got, memory, "{kind:?}");
        }
    }

    #[test]
    fn a_gpu_has_nearly_the_same_numbers() {
        for (kind, tolerance) in [(Kind::Float, 1e-6), (Kind::BFloat16, 0.02)] {
            let (bytes, want) = all_bytes(kind);
            let bytes = Tensor::from_slice(&bytes).reshape([1, 1, 256, 3]);
            let got = OnGpu::new(Device::Cpu, kind).unwrap().apply(&bytes).unwrap();
            assert_eq!(got.kind(), kind);
            assert!(got.allclose(&want, tolerance, tolerance, false), "{kind:?}");
        }
    }
}
