//! References to the elements of a tensor: a storage of the archive, an offset and strides.

use std::rc::Rc;

use half::{bf16, f16};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ElementType {
    F32,
    F64,
    F16,
    Bf16,
    I64,
}

#[derive(Clone, Debug)]
pub(super) struct Storage {
    pub(super) elements: ElementType,
    pub(super) key: String,
}

#[derive(Clone, Debug)]
pub(super) struct TensorReference {
    pub(super) storage: Rc<Storage>,
    pub(super) offset: i64,
    pub(super) size: Vec<i64>,
    pub(super) stride: Vec<i64>,
}

impl ElementType {
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Reads the element at position `at` of a storage.
    pub(super) fn read(self, storage: &[u8], at: usize) -> Option<f32> {
        fn chunk<const N: usize>(storage: &[u8], at: usize) -> Option<[u8; N]> {
            storage.as_chunks().0.get(at).copied()
        }
        Some(match self {
            Self::F32 => f32::from_le_bytes(chunk(storage, at)?),
            Self::F64 => f64::from_le_bytes(chunk(storage, at)?) as f32,
            Self::F16 => f16::from_le_bytes(chunk(storage, at)?).to_f32(),
            Self::Bf16 => bf16::from_le_bytes(chunk(storage, at)?).to_f32(),
            Self::I64 => i64::from_le_bytes(chunk(storage, at)?) as f32,
        })
    }
}

impl TensorReference {
    /// Position in the storage of the `position`-th element in row-major order.
    pub(super) fn element(&self, position: usize) -> Option<usize> {
        let (mut rest, mut at) = (i64::try_from(position).ok()?, self.offset);
        for (size, stride) in self.size.iter().zip(&self.stride).rev() {
            at = at.checked_add((rest % size).checked_mul(*stride)?)?;
            rest /= size;
        }
        usize::try_from(at).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_are_applied_and_bounds_are_checked() {
        let storage = Rc::new(Storage { elements: ElementType::F32, key: "0".to_owned() });
        let transposed = TensorReference { storage, offset: 1, size: vec![2, 3], stride: vec![1, 2] };
        let order: Vec<_> = (0..6).map(|position| transposed.element(position).unwrap()).collect();
        assert_eq!(order, [1, 3, 5, 2, 4, 6]);
        let backwards = TensorReference { stride: vec![-5, 1], ..transposed };
        assert_eq!(backwards.element(3), None);
    }
}
