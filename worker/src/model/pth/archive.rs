//! The container of a `.pth` file: a zip archive of one pickle and its storages.
//!
//! Invariant: a file of n bytes yields a pickle and storages of at most n bytes each, whatever sizes it declares.

use std::{
    borrow::Cow,
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
/// Largest pickle. That of a state dict has 20 kB; a checkpoint may add the losses of a long training.
const MAX_PICKLE_BYTES: u64 = 16 << 20;
/// Entries of zip archives that other programs write, and what to do.
const FOREIGN: [(&str, &str); 4] = [
    (
        "constants.pkl",
        "the file is a TorchScript archive; convert it with: python -c \"import torch; \
         torch.save(torch.jit.load('old.pt', map_location='cpu').state_dict(), 'new.pth')\"",
    ),
    ("archive_format", "the file is a torch.export archive; save model.state_dict() with torch.save instead"),
    (".npy", "the file is a NumPy archive (.npz); save model.state_dict() with torch.save instead"),
    (".pth", "the file is a zip archive of files; unpack it"),
];

/// `<name>/data.pkl`, and one entry per storage.
pub(super) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    folder: String,
    storages: HashMap<String, Rc<Vec<u8>>>,
    /// Remaining budget of storage bytes: zip entries may overlap.
    bytes_left: usize,
}

impl<'a> Archive<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, PthError> {
        let zip =
            ZipArchive::new(Cursor::new(bytes)).map_err(|error| PthError::Container(error.to_string()))?;
        let names: Vec<String> = zip.file_names().flatten().map(Cow::into_owned).collect();
        let foreign = FOREIGN.iter().find(|(entry, _)| names.iter().any(|name| name.ends_with(entry)));
        if let Some((_, reason)) = foreign {
            return Err(PthError::Foreign(reason));
        }
        let folder = names.iter().find_map(|name| Some(name.strip_suffix("data.pkl")?.to_owned()));
        let folder = folder.ok_or_else(|| malformed("the archive has no data.pkl"))?;
        let mut archive = Self { zip, folder, storages: HashMap::new(), bytes_left: bytes.len() };
        if archive.entry("byteorder", 16).is_ok_and(|order| order.starts_with(b"big")) {
            return Err(PthError::Foreign(
                "the file was written on a big-endian machine; load it and save it again on another one",
            ));
        }
        Ok(archive)
    }

    pub(super) fn pickle(&mut self) -> Result<Vec<u8>, PthError> {
        self.entry("data.pkl", MAX_PICKLE_BYTES.min(self.bytes_left as u64))
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

    /// Reads the elements of a tensor in row-major order, whatever its strides. The caller bounds its size.
    pub(super) fn values(&mut self, name: &str, tensor: &TensorReference) -> Result<Vec<f32>, PthError> {
        let storage = self.storage(&tensor.storage.key)?;
        tensor
            .values(&storage)
            .ok_or_else(|| malformed(&format!("'{name}' refers to elements outside its storage")))
    }
}
