//! PyTorch's `.pth` files: a restricted reader of state dicts.
//!
//! Owns the zip container and the tensors in it. libtorch's own loader refuses these files, and Python's
//! runs code; this one builds tensors and nothing else (see [`pickle`]). Invariants: sizes are checked
//! against the bytes that are there; a file of n bytes makes at most n bytes of storages and n elements.

mod pickle;

use std::{
    collections::HashMap,
    io::{Cursor, Read},
    rc::Rc,
};

use half::{bf16, f16};
use zip::ZipArchive;

use self::pickle::{Heap, Kind, Place, TensorReference, Value};
use super::state_dict::{StateDict, Tensor};

/// Largest pickle; ResNet34's is 20 kB.
const MAX_PICKLE_BYTES: u64 = 4 << 20;
/// How a file written before PyTorch 1.6 begins: pickle protocol 2 and a magic number.
const OLD_FORMAT: [u8; 4] = [0x80, 0x02, 0x8a, 0x0a];

/// Why a `.pth` file is not read.
#[derive(Debug, thiserror::Error)]
pub enum PthError {
    /// It has the format of before PyTorch 1.6.
    #[error(
        "the file has the format of before PyTorch 1.6; convert it with: python -c \"import torch; \
         torch.save(torch.load('old.pth', weights_only=True, map_location='cpu'), 'new.pth')\""
    )]
    OldFormat,
    /// The container is damaged.
    #[error("the file is damaged or truncated: {0}")]
    Container(String),
    /// The pickle names something that is no part of a state dict.
    #[error("the file holds '{0}', which is no tensor: save model.state_dict() instead of the model")]
    Forbidden(String),
    /// The pickle is not what PyTorch writes.
    #[error("the file holds no state dict: {0}")]
    Malformed(String),
}

/// Whether bytes begin like a `.pth` file, old or new.
pub(super) fn is_pth(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(&OLD_FORMAT)
}

/// Reads a state dict, also one below `state_dict` or `model` and one with `module.` before its names.
///
/// # Errors
/// See [`PthError`].
pub(super) fn read(bytes: &[u8]) -> Result<StateDict, PthError> {
    if bytes.starts_with(&OLD_FORMAT) {
        return Err(PthError::OldFormat);
    }
    let mut archive = Archive::open(bytes)?;
    let pickle = archive.entry("data.pkl", MAX_PICKLE_BYTES)?;
    let (top, heap) = pickle::run(&pickle)?;
    let mut state = StateDict::default();
    for (key, value) in heap.entries(state_dict(&top, &heap)?) {
        let Value::Text(name) = key else { return Err(malformed("a name is no text")) };
        let name = name.strip_prefix("module.").unwrap_or(name).to_owned();
        let Value::Tensor(reference) = value else {
            return Err(malformed(&format!("'{name}' is no tensor")));
        };
        if !name.ends_with(".num_batches_tracked") {
            let tensor = archive.tensor(&name, reference)?;
            state.0.insert(name, tensor);
        }
    }
    Ok(state)
}

fn state_dict(top: &Value, heap: &Heap) -> Result<Place, PthError> {
    let Value::Dict(top) = top else { return Err(malformed("its top is no dict")) };
    let nested = heap.entries(*top).find_map(|(key, value)| match (key, value) {
        (Value::Text(name), Value::Dict(inner)) if matches!(&**name, "state_dict" | "model") => Some(*inner),
        _ => None,
    });
    Ok(nested.unwrap_or(*top))
}

fn malformed(what: &str) -> PthError {
    PthError::Malformed(what.to_owned())
}

impl Kind {
    fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Reads the element at position `at` of a storage.
    fn read(self, storage: &[u8], at: usize) -> Option<f32> {
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

/// The container: `<name>/data.pkl` and one entry a storage.
struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    folder: String,
    storages: HashMap<String, Rc<Vec<u8>>>,
    /// Bytes of storages, and elements of tensors, that it may still make: entries may overlap, and many
    /// tensors may lie in one storage.
    bytes_left: usize,
    elements_left: usize,
}

impl<'a> Archive<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, PthError> {
        let zip =
            ZipArchive::new(Cursor::new(bytes)).map_err(|error| PthError::Container(error.to_string()))?;
        let pickle =
            zip.file_names().flatten().find_map(|name| Some(name.strip_suffix("data.pkl")?.to_owned()));
        let folder = pickle.ok_or_else(|| malformed("the archive has no data.pkl"))?;
        let (bytes_left, elements_left) = (bytes.len(), bytes.len());
        Ok(Self { zip, folder, storages: HashMap::new(), bytes_left, elements_left })
    }

    fn entry(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, PthError> {
        let path = format!("{}{name}", self.folder);
        let damaged = |error: &dyn std::fmt::Display| PthError::Container(format!("{path}: {error}"));
        let entry = self.zip.by_name(&path).map_err(|error| damaged(&error))?;
        if entry.size() > limit {
            return Err(damaged(&format!("{} bytes are over the limit of {limit}", entry.size())));
        }
        let mut bytes = Vec::new();
        entry.take(limit + 1).read_to_end(&mut bytes).map_err(|error| damaged(&error))?;
        Ok(bytes)
    }

    fn storage(&mut self, key: &str) -> Result<Rc<Vec<u8>>, PthError> {
        if let Some(bytes) = self.storages.get(key) {
            return Ok(bytes.clone());
        }
        let bytes = Rc::new(self.entry(&format!("data/{key}"), self.bytes_left as u64)?);
        self.bytes_left = self.bytes_left.saturating_sub(bytes.len());
        self.storages.insert(key.to_owned(), bytes.clone());
        Ok(bytes)
    }

    /// Reads the elements a tensor refers to, in row-major order whatever its strides.
    fn tensor(&mut self, name: &str, reference: &TensorReference) -> Result<Tensor, PthError> {
        let outside = || malformed(&format!("'{name}' reaches outside its storage"));
        let storage = self.storage(&reference.storage.key)?;
        let kind = reference.storage.kind;
        let elements = storage.len() / kind.bytes();
        if reference.size.len() != reference.stride.len() || reference.size.iter().any(|size| *size < 0) {
            return Err(outside());
        }
        let count = reference.size.iter().try_fold(1_i64, |count, size| count.checked_mul(*size));
        let count = count.and_then(|count| usize::try_from(count).ok()).filter(|count| *count <= elements);
        let count = count.ok_or_else(outside)?;
        self.elements_left = self
            .elements_left
            .checked_sub(count)
            .ok_or_else(|| malformed("its tensors have more elements than the file has bytes"))?;
        let mut gathered = Vec::with_capacity(count);
        for position in 0..count {
            let value = reference.element(position).and_then(|at| kind.read(&storage, at));
            gathered.push(value.ok_or_else(outside)?);
        }
        Ok(Tensor { shape: reference.size.clone(), values: gathered })
    }
}

impl TensorReference {
    /// Position in the storage of the `position`-th element in row-major order.
    fn element(&self, position: usize) -> Option<usize> {
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
    use super::{pickle::Storage, *};

    #[test]
    fn what_is_no_archive_is_refused() {
        for bytes in [&b"PK\x03\x04"[..], b"PK\x03\x04nothing more"] {
            assert!(matches!(read(bytes), Err(PthError::Container(_))));
        }
        assert!(matches!(read(&OLD_FORMAT), Err(PthError::OldFormat)));
    }

    #[test]
    fn strides_are_followed_and_bounded() {
        let storage = Rc::new(Storage { kind: Kind::F32, key: "0".to_owned() });
        let transposed = TensorReference { storage, offset: 1, size: vec![2, 3], stride: vec![1, 2] };
        let order: Vec<_> = (0..6).map(|position| transposed.element(position).unwrap()).collect();
        assert_eq!(order, [1, 3, 5, 2, 4, 6]);
        let backwards = TensorReference { stride: vec![-5, 1], ..transposed };
        assert_eq!(backwards.element(3), None);
    }
}
