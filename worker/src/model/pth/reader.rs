//! From the bytes of a `.pth` file to a state dict.

use std::{
    collections::{HashSet, VecDeque},
    rc::Rc,
};

use super::{
    archive::Archive,
    error::{PthError, malformed},
    machine,
    tensor::{ElementType, TensorReference},
    value::{Heap, HeapIndex, Value},
};
use crate::model::{
    selection::{self, Dict, Unread},
    state_dict::StateDict,
};

/// Begins a file written before PyTorch 1.6, after the pickle's protocol and perhaps its frame: a number of ten bytes.
const OLD_MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
/// Longest name of a dict or tensor that is considered; a layer's name has some 30 bytes.
const MAX_NAME_BYTES: usize = 256;
/// Deepest dict that is considered, below the outermost.
const MAX_DEPTH: u32 = 3;

/// Whether the first bytes are those of a `.pth` file, old or new.
pub(in crate::model) fn is_pth(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || is_old(bytes)
}

fn is_old(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x80]) && bytes.windows(OLD_MAGIC.len()).take(16).any(|window| window == OLD_MAGIC)
}

/// Reads the backbone, which may be in any dict of the file. Other values, such as an optimiser's state, are left out.
pub(in crate::model) fn read(bytes: &[u8]) -> Result<StateDict, PthError> {
    if is_old(bytes) {
        return Err(PthError::OldFormat);
    }
    let mut archive = Archive::open(bytes)?;
    let pickle = archive.pickle()?;
    let (top, heap) = machine::run(&pickle)?;
    let Value::Dict(top) = top else { return Err(malformed("the root is not a dict")) };
    selection::read_backbone(&dicts(top, &heap), |name, tensor| archive.values(name, tensor))
}

/// Returns the dicts that have tensors, the outermost first.
fn dicts(top: HeapIndex, heap: &Heap) -> Vec<Dict<Rc<TensorReference>>> {
    let (mut seen, mut open) = (HashSet::from([top]), VecDeque::from([(String::new(), 0, top)]));
    let mut dicts = Vec::new();
    while let Some((path, depth, dict)) = open.pop_front() {
        let mut tensors = Vec::new();
        for (key, value) in heap.entries(dict) {
            let Value::Text(name) = key else { continue };
            if name.len() > MAX_NAME_BYTES {
                continue;
            }
            match value {
                Value::Tensor(tensor) => tensors.push((name.clone(), unread(tensor))),
                Value::OtherTensor => tensors.push((name.clone(), unread(&Rc::default()))),
                Value::Dict(inner) if depth < MAX_DEPTH && seen.insert(*inner) => {
                    let path = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
                    open.push_back((path, depth + 1, *inner));
                }
                _ => {}
            }
        }
        if !tensors.is_empty() {
            dicts.push(Dict::new(path, tensors));
        }
    }
    dicts
}

fn unread(tensor: &Rc<TensorReference>) -> Unread<Rc<TensorReference>> {
    Unread {
        shape: tensor.size.clone(),
        floating: tensor.storage.elements != ElementType::Other,
        source: tensor.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_archive_and_old_format_are_rejected() {
        for bytes in [&b"PK\x03\x04"[..], b"PK\x03\x04nothing more"] {
            assert!(matches!(read(bytes), Err(PthError::Container(_))));
        }
        for start in [&b"\x80\x02"[..], b"\x80\x04\x95\x0f\0\0\0\0\0\0\0"] {
            let bytes = [start, OLD_MAGIC, b"."].concat();
            assert!(is_pth(&bytes) && matches!(read(&bytes), Err(PthError::OldFormat)));
        }
    }
}
