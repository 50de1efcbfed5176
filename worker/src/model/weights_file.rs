//! Weights files. The format is detected by content, not by name.

use std::{fmt, fs, path::Path};

use super::{error::ModelError, foreign_file, pth, safetensors_file, state_dict::StateDict};

/// Largest weights file.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// What to do if the weights cannot be loaded.
pub(super) const ADVICE: &str = "set SUBWATCH_MODEL_WEIGHTS to a ResNet34 file (/path/to/resnet34.pth or .safetensors), or to \
                      random:0 to try the system without pretrained weights";

impl StateDict {
    /// Writes the weights as a `.safetensors` file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ModelError> {
        safetensors_file::write(self, path)
            .map_err(|error| ModelError::Weights(format!("{}: {error}", path.display())))
    }
}

/// Reads the backbone's weights. Every error names the file.
pub(super) fn load(path: &Path) -> Result<StateDict, ModelError> {
    let failed = |reason: &dyn fmt::Display| ModelError::Weights(format!("{}: {reason}", path.display()));
    let metadata = fs::metadata(path).map_err(|error| failed(&format!("{error}; {ADVICE}")))?;
    if metadata.is_dir() {
        return Err(failed(&"a folder, not a file: name the .pth or .safetensors file in it"));
    }
    let size = metadata.len();
    if size > MAX_FILE_BYTES {
        return Err(failed(&format!("the file has {size} bytes, more than the limit of {MAX_FILE_BYTES}")));
    }
    let bytes = fs::read(path).map_err(|error| failed(&error))?;
    if pth::is_pth(&bytes) {
        pth::read(&bytes).map_err(|error| failed(&error))
    } else if let Some(reason) = foreign_file::reason(&bytes) {
        Err(failed(&reason))
    } else {
        safetensors_file::read(&bytes).map_err(|error| failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_of_a_missing_file_says_what_to_do() {
        let error = load(Path::new("/nowhere/resnet34.pth")).unwrap_err().to_string();
        assert!(
            error.contains("/nowhere/resnet34.pth") && error.contains("SUBWATCH_MODEL_WEIGHTS"),
            "{error}"
        );
    }
}
