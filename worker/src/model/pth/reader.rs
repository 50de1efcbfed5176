//! From the bytes of a `.pth` file to a state dict.

use super::{
    archive::Archive,
    error::{PthError, malformed},
    machine,
    value::{Heap, Place, Value},
};
use crate::model::state_dict::StateDict;

/// How a file written before PyTorch 1.6 begins: pickle protocol 2 and a magic number.
const OLD_FORMAT: [u8; 4] = [0x80, 0x02, 0x8a, 0x0a];

/// Whether bytes begin like a `.pth` file, old or new.
pub(in crate::model) fn is_pth(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(&OLD_FORMAT)
}

/// Reads a state dict, also one below `state_dict` or `model` and one with `module.` before its names.
///
/// # Errors
/// See [`PthError`].
pub(in crate::model) fn read(bytes: &[u8]) -> Result<StateDict, PthError> {
    if bytes.starts_with(&OLD_FORMAT) {
        return Err(PthError::OldFormat);
    }
    let mut archive = Archive::open(bytes)?;
    let pickle = archive.pickle()?;
    let (top, heap) = machine::run(&pickle)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_archive_is_refused() {
        for bytes in [&b"PK\x03\x04"[..], b"PK\x03\x04nothing more"] {
            assert!(matches!(read(bytes), Err(PthError::Container(_))));
        }
        assert!(matches!(read(&OLD_FORMAT), Err(PthError::OldFormat)));
    }
}
