//! PyTorch's `.pth` files: a restricted reader of state dicts.
//!
//! Owns the zip container and the tensors in it. libtorch's own loader refuses these files, and Python's
//! runs code; this one builds tensors and nothing else (see [`pickle`]). Invariant: sizes are checked
//! against the bytes that are there.

mod pickle;

use std::{
    collections::HashMap,
    io::{Cursor, Read},
    rc::Rc,
};

use half::{bf16, f16};
use zip::ZipArchive;

use self::pickle::{Kind, TensorReference, Value};
use super::state::{State, Tensor};

/// Largest pickle; ResNet34's is 20 kB.
const MAX_PICKLE_BYTES: u64 = 16 << 20;
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
pub(super) fn read(bytes: &[u8]) -> Result<State, PthError> {
    if bytes.starts_with(&OLD_FORMAT) {
        return Err(PthError::OldFormat);
    }
    let mut archive = Archive::open(bytes)?;
    let pickle = archive.entry("data.pkl", MAX_PICKLE_BYTES)?;
    let top = pickle::run(&pickle)?;
    let entries = state_dict(&top)?;
    let mut state = State::default();
    for (key, value) in entries {
        let Value::Text(name) = key else { return Err(malformed("a name is no text")) };
        let name = name.strip_prefix("module.").unwrap_or(&name).to_owned();
        let Value::Tensor(reference) = value else {
            return Err(malformed(&format!("'{name}' is no tensor")));
        };
        if !name.ends_with(".num_batches_tracked") {
            let tensor = archive.tensor(&name, &reference)?;
            state.0.insert(name, tensor);
        }
    }
    Ok(state)
}

fn state_dict(top: &Value) -> Result<Vec<(Value, Value)>, PthError> {
    let Value::Dict(entries) = top else { return Err(malformed("its top is no dict")) };
    let entries = entries.borrow();
    let nested = entries.iter().find_map(|(key, value)| match (key, value) {
        (Value::Text(name), Value::Dict(inner)) if name == "state_dict" || name == "model" => {
            Some(inner.clone())
        }
        _ => None,
    });
    Ok(nested.map_or_else(|| entries.clone(), |inner| inner.borrow().clone()))
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

    fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F32 => bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect(),
            Self::F64 => bytes.as_chunks().0.iter().map(|value| f64::from_le_bytes(*value) as f32).collect(),
            Self::F16 => {
                bytes.as_chunks().0.iter().map(|value| f16::from_le_bytes(*value).to_f32()).collect()
            }
            Self::Bf16 => {
                bytes.as_chunks().0.iter().map(|value| bf16::from_le_bytes(*value).to_f32()).collect()
            }
            Self::I64 => bytes.as_chunks().0.iter().map(|value| i64::from_le_bytes(*value) as f32).collect(),
        }
    }
}

/// The container: `<name>/data.pkl` and one entry a storage.
struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    folder: String,
    storages: HashMap<String, Rc<Vec<u8>>>,
}

impl<'a> Archive<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, PthError> {
        let zip =
            ZipArchive::new(Cursor::new(bytes)).map_err(|error| PthError::Container(error.to_string()))?;
        let pickle =
            zip.file_names().flatten().find_map(|name| Some(name.strip_suffix("data.pkl")?.to_owned()));
        let folder = pickle.ok_or_else(|| malformed("the archive has no data.pkl"))?;
        Ok(Self { zip, folder, storages: HashMap::new() })
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
        let bytes = Rc::new(self.entry(&format!("data/{key}"), 1 << 30)?);
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
        let values = kind.decode(&storage);
        let mut gathered = Vec::with_capacity(count);
        for position in 0..count {
            let at = reference.element(position).filter(|at| *at < elements).ok_or_else(outside)?;
            gathered.push(values[at]);
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
        let storage = Storage { kind: Kind::F32, key: "0".to_owned() };
        let transposed = TensorReference { storage, offset: 1, size: vec![2, 3], stride: vec![1, 2] };
        let order: Vec<_> = (0..6).map(|position| transposed.element(position).unwrap()).collect();
        assert_eq!(order, [1, 3, 5, 2, 4, 6]);
        let backwards = TensorReference { stride: vec![-5, 1], ..transposed };
        assert_eq!(backwards.element(3), None);
    }
}
