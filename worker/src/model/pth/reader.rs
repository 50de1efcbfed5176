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
const MAX_DEPTH: usize = 3;
/// Most dicts with tensors. A checkpoint has some tens.
const MAX_DICTS: usize = 10_000;

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
    selection::read_backbone(&dicts(top, &heap)?, |name, tensor| archive.values(name, tensor))
}

/// Returns the dicts that have tensors, the outermost first.
fn dicts(top: HeapIndex, heap: &Heap) -> Result<Vec<Dict<Rc<TensorReference>>>, PthError> {
    let (mut seen, mut open) = (HashSet::from([top]), VecDeque::from([(Vec::<Rc<str>>::new(), top)]));
    let mut dicts = Vec::new();
    while let Some((path, dict)) = open.pop_front() {
        let mut tensors = Vec::new();
        for (key, value) in heap.entries(dict) {
            let Value::Text(name) = key else { continue };
            if name.len() > MAX_NAME_BYTES {
                continue;
            }
            match value {
                Value::Tensor(tensor) => tensors.push((name.clone(), unread(tensor))),
                Value::OtherTensor => tensors.push((name.clone(), unread(&Rc::default()))),
                Value::Dict(inner) if path.len() < MAX_DEPTH && seen.insert(*inner) => {
                    // The names are shared: a few bytes of a pickle make a dict with a long name.
                    open.push_back((path.iter().chain([name]).cloned().collect(), *inner));
                }
                _ => {}
            }
        }
        if !tensors.is_empty() {
            if dicts.len() == MAX_DICTS {
                return Err(malformed("it has too many dicts of tensors"));
            }
            dicts.push(Dict::new(path.join("."), tensors));
        }
    }
    Ok(dicts)
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
    fn dicts_with_long_names_share_them() {
        // A tensor and a name of 256 bytes in the memo, and dicts of that name that have the tensor.
        let name = [&b"X\0\x01\0\0"[..], &[b'n'; 256], b"q\0"].concat();
        let tensor = b"ctorch._utils\n_rebuild_sparse_tensor\n)Rq\x01";
        let pickle = |dicts: usize| {
            let dict = b"h\0}h\0h\x01ss";
            let start = [&name[..], b"0", tensor, b"0}"].concat();
            [start, dict.repeat(dicts), b".".to_vec()].concat()
        };
        let read = |dicts_in_file: usize| {
            let (top, heap) = machine::run(&pickle(dicts_in_file)).unwrap();
            let Value::Dict(top) = top else { panic!("not a dict") };
            dicts(top, &heap).map(|dicts| dicts.len())
        };
        assert_eq!(read(MAX_DICTS).ok(), Some(MAX_DICTS));
        assert!(read(MAX_DICTS + 1).unwrap_err().to_string().contains("too many dicts"));
    }

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
