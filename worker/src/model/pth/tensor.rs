//! References to the elements of a tensor: a storage of the archive, an offset and strides.

use std::rc::Rc;

use half::{bf16, f16};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum ElementType {
    F32,
    F64,
    F16,
    Bf16,
    /// Integers, flags, complex numbers.
    #[default]
    Other,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Storage {
    pub(super) elements: ElementType,
    pub(super) key: Rc<str>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct TensorReference {
    pub(super) storage: Rc<Storage>,
    pub(super) offset: i64,
    pub(super) size: Vec<i64>,
    pub(super) stride: Vec<i64>,
}

impl ElementType {
    /// Reads the element at position `at` of a storage; `None` if it is outside, or not a floating-point number.
    fn read(self, storage: &[u8], at: usize) -> Option<f32> {
        fn chunk<const N: usize>(storage: &[u8], at: usize) -> Option<[u8; N]> {
            storage.as_chunks().0.get(at).copied()
        }
        Some(match self {
            Self::F32 => f32::from_le_bytes(chunk(storage, at)?),
            Self::F64 => f64::from_le_bytes(chunk(storage, at)?) as f32,
            Self::F16 => f16::from_le_bytes(chunk(storage, at)?).to_f32(),
            Self::Bf16 => bf16::from_le_bytes(chunk(storage, at)?).to_f32(),
            Self::Other => return None,
        })
    }
}

impl TensorReference {
    /// Reads the elements in row-major order; `None` if one is outside the storage. The caller bounds the size.
    pub(super) fn values(&self, storage: &[u8]) -> Option<Vec<f32>> {
        let sides = self
            .size
            .iter()
            .zip(&self.stride)
            .map(|(size, stride)| Some((usize::try_from(*size).ok()?, usize::try_from(*stride).ok()?)));
        let sides: Vec<(usize, usize)> = sides.collect::<Option<_>>()?;
        if self.size.len() != self.stride.len() {
            return None;
        }
        let mut values = Vec::with_capacity(sides.iter().map(|(size, _)| size).product());
        self.gather(storage, &sides, usize::try_from(self.offset).ok()?, &mut values)?;
        Some(values)
    }

    /// Appends the elements of a part of the tensor with these sizes and strides, from position `start` of the storage.
    fn gather(
        &self,
        storage: &[u8],
        sides: &[(usize, usize)],
        start: usize,
        values: &mut Vec<f32>,
    ) -> Option<()> {
        let Some(((size, stride), inner)) = sides.split_first() else {
            values.push(self.storage.elements.read(storage, start)?);
            return Some(());
        };
        for position in 0..*size {
            let at = start.checked_add(position.checked_mul(*stride)?)?;
            self.gather(storage, inner, at, values)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_are_applied_and_bounds_are_checked() {
        let bytes: Vec<u8> = (0_u8..7).flat_map(|number| f32::from(number).to_le_bytes()).collect();
        let storage = Rc::new(Storage { elements: ElementType::F32, key: "0".into() });
        let check = |offset, size: [i64; 2], stride: [i64; 2], want: Option<&[f32]>| {
            let (size, stride) = (size.to_vec(), stride.to_vec());
            let tensor = TensorReference { storage: storage.clone(), offset, size, stride };
            assert_eq!(tensor.values(&bytes).as_deref(), want);
        };
        check(1, [2, 3], [3, 1], Some(&[1., 2., 3., 4., 5., 6.]));
        check(1, [2, 3], [1, 2], Some(&[1., 3., 5., 2., 4., 6.]));
        check(6, [2, 2], [0, 0], Some(&[6.; 4]));
        check(2, [2, 3], [1, 2], None);
        check(-1, [1, 1], [1, 1], None);
        check(6, [2, 2], [-5, 1], None);
        check(6, [2, 2], [i64::MAX, i64::MAX], None);
    }
}
