//! From the bytes of a `.pth` file to a state dict.

use super::{
    archive::Archive,
    error::{PthError, malformed},
    machine,
    value::{Heap, HeapIndex, Value},
};
use crate::model::state_dict::StateDict;

/// First bytes of a file written before PyTorch 1.6: pickle protocol 2 and a magic number.
const OLD_FORMAT: [u8; 4] = [0x80, 0x02, 0x8a, 0x0a];

/// Whether the first bytes are those of a `.pth` file, old or new.
pub(in crate::model) fn is_pth(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(&OLD_FORMAT)
}

/// Reads a state dict, which may be nested under the key `state_dict` or `model`, with or without the prefix `module.`
/// before its names.
pub(in crate::model) fn read(bytes: &[u8]) -> Result<StateDict, PthError> {
    if bytes.starts_with(&OLD_FORMAT) {
        return Err(PthError::OldFormat);
    }
    let mut archive = Archive::open(bytes)?;
    let pickle = archive.pickle()?;
    let (top, heap) = machine::run(&pickle)?;
    let mut state = StateDict::default();
    for (key, value) in heap.entries(state_dict(&top, &heap)?) {
        let Value::Text(name) = key else { return Err(malformed("a name is not text")) };
        let name = name.strip_prefix("module.").unwrap_or(name).to_owned();
        let Value::Tensor(reference) = value else {
            return Err(malformed(&format!("'{name}' is not a tensor")));
        };
        if !name.ends_with(".num_batches_tracked") {
            let tensor = archive.tensor(&name, reference)?;
            state.0.insert(name, tensor);
        }
    }
    Ok(state)
}

fn state_dict(top: &Value, heap: &Heap) -> Result<HeapIndex, PthError> {
    let Value::Dict(top) = top else { return Err(malformed("the root is not a dict")) };
    let nested = heap.entries(*top).find_map(|(key, value)| match (key, value) {
        (Value::Text(name), Value::Dict(inner)) if matches!(&**name, "state_dict" | "model") => Some(*inner),
        _ => None,
    });
    Ok(nested.unwrap_or(*top))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_archive_and_old_format_are_rejected() {
        for bytes in [&b"PK\x03\x04"[..], b"PK\x03\x04nothing more"] {
            assert!(matches!(read(bytes), Err(PthError::Container(_))));
        }
        assert!(matches!(read(&OLD_FORMAT), Err(PthError::OldFormat)));
    }
}
