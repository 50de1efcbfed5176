//! The container of a `.pth` file: a zip archive of one pickle and its storages.
//!
//! Invariant: a file of n bytes yields at most n bytes of storages and n elements, whatever sizes it declares.

use std::{
    collections::HashMap,
    fmt,
    io::{Cursor, Read},
    rc::Rc,
};

use zip::ZipArchive;

use super::{
    error::{PthError, malformed},
    tensor::TensorReference,
};
use crate::model::state_dict::Tensor;

/// Largest pickle; ResNet34's is 20 kB.
const MAX_PICKLE_BYTES: u64 = 4 << 20;

/// `<name>/data.pkl`, and one entry per storage.
pub(super) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    folder: String,
    storages: HashMap<String, Rc<Vec<u8>>>,
    /// Remaining budgets of storage bytes and tensor elements: zip entries may overlap, and many tensors may refer to
    /// one storage.
    bytes_left: usize,
    elements_left: usize,
}

impl<'a> Archive<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, PthError> {
        let zip =
            ZipArchive::new(Cursor::new(bytes)).map_err(|error| PthError::Container(error.to_string()))?;
        let pickle =
            zip.file_names().flatten().find_map(|name| Some(name.strip_suffix("data.pkl")?.to_owned()));
        let folder = pickle.ok_or_else(|| malformed("the archive has no data.pkl"))?;
        let (bytes_left, elements_left) = (bytes.len(), bytes.len());
        Ok(Self { zip, folder, storages: HashMap::new(), bytes_left, elements_left })
    }

    pub(super) fn pickle(&mut self) -> Result<Vec<u8>, PthError> {
        self.entry("data.pkl", MAX_PICKLE_BYTES)
    }

    fn entry(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, PthError> {
        let path = format!("{}{name}", self.folder);
        let damaged = |error: &dyn fmt::Display| PthError::Container(format!("{path}: {error}"));
        let entry = self.zip.by_name(&path).map_err(|error| damaged(&error))?;
        if entry.size() > limit {
            return Err(damaged(&format!("{} bytes exceed the limit of {limit}", entry.size())));
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

    /// Reads the elements of a tensor in row-major order, whatever its strides.
    pub(super) fn tensor(&mut self, name: &str, reference: &TensorReference) -> Result<Tensor, PthError> {
        let outside = || malformed(&format!("'{name}' refers to elements outside its storage"));
        let storage = self.storage(&reference.storage.key)?;
        let element = reference.storage.elements;
        let elements = storage.len() / element.bytes();
        if reference.size.len() != reference.stride.len() || reference.size.iter().any(|size| *size < 0) {
            return Err(outside());
        }
        let count = reference.size.iter().try_fold(1_i64, |count, size| count.checked_mul(*size));
        let count = count.and_then(|count| usize::try_from(count).ok()).filter(|count| *count <= elements);
        let count = count.ok_or_else(outside)?;
        self.elements_left = self
            .elements_left
            .checked_sub(count)
            .ok_or_else(|| malformed("the tensors have more elements than the file has bytes"))?;
        let mut gathered = Vec::with_capacity(count);
        for position in 0..count {
            let value = reference.element(position).and_then(|at| element.read(&storage, at));
            gathered.push(value.ok_or_else(outside)?);
        }
        Ok(Tensor { shape: reference.size.clone(), values: gathered })
    }
}
