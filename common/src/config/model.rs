//! The backbone and image decoding of a worker.

use std::{fmt, path::PathBuf, str::FromStr};

use documented::{Documented, DocumentedFields};
use serde::{Deserialize, Serialize};

use super::error::{ConfigError, PREFIX, fail};

/// Model: weights, precision and threads of a worker.
#[derive(Clone, Debug, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default)]
pub struct ModelSettings {
    /// Backbone weights: a `.pth` or `.safetensors` file, an https URL that ends with `#sha256=` and all 64 digits, or
    /// `random:SEED`. If unset, torchvision's IMAGENET1K_V1 is downloaded.
    pub model_weights: Option<String>,
    /// Precision of the backbone: `fp32`, `bf16`, or `auto` (bf16 if the device is fast at it).
    pub model_precision: String,
    /// Device of the backbone: `cpu`, `cuda:N`, or `auto` (a GPU if there is one).
    pub model_device: String,
    /// Compute threads of the backbone. If unset, one per core.
    pub model_threads: Option<usize>,
    /// Folder for downloaded weights. If unset, `$XDG_CACHE_HOME/subwatch` or `~/.cache/subwatch`.
    pub cache_dir: Option<PathBuf>,
    /// Threads that decode images. If unset, one per core.
    pub decode_threads: Option<usize>,
    /// Memory of the images that a worker decodes at a time, in bytes. A larger image (up to 0.9 GB) is decoded alone.
    pub decode_memory_bytes: u64,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            model_weights: None,
            model_precision: "auto".to_owned(),
            model_device: "auto".to_owned(),
            model_threads: None,
            cache_dir: None,
            decode_threads: None,
            decode_memory_bytes: 1 << 30,
        }
    }
}

impl ModelSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (key, threads) in [("model_threads", self.model_threads), ("decode_threads", self.decode_threads)]
        {
            if threads == Some(0) {
                return fail(key, &0, "at least 1");
            }
        }
        self.precision().map(drop)
    }

    /// Parses `model_precision`.
    pub fn precision(&self) -> Result<PrecisionChoice, ConfigError> {
        let text = &self.model_precision;
        text.parse().map_err(|want: String| ConfigError::invalid("model_precision", text, &want))
    }

    /// Folder for downloaded weights.
    ///
    /// # Errors
    /// If `cache_dir`, `XDG_CACHE_HOME` and `HOME` are all unset.
    pub fn cache_dir(&self) -> Result<PathBuf, ConfigError> {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
        let variable =
            |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        self.cache_dir
            .clone()
            .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("subwatch")))
            .or_else(|| variable("HOME").map(|home| home.join(".cache/subwatch")))
            .ok_or_else(|| {
                ConfigError::general(format!(
                    "no folder for downloaded weights: set {PREFIX}_CACHE_DIR, XDG_CACHE_HOME or HOME"
                ))
            })
    }
}

/// The configured precision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrecisionChoice {
    /// bf16 if the device is fast at it, else fp32.
    Auto,
    Exactly(Precision),
}

impl FromStr for PrecisionChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "fp32" => Ok(Self::Exactly(Precision::Fp32)),
            "bf16" => Ok(Self::Exactly(Precision::Bf16)),
            _ => Err("auto, fp32 or bf16".to_owned()),
        }
    }
}

/// Number format of the convolutions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Precision {
    /// IEEE 754 single precision.
    Fp32,
    /// bfloat16 inputs and weights.
    Bf16,
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse()? {
            PrecisionChoice::Exactly(precision) => Ok(precision),
            PrecisionChoice::Auto => Err("fp32 or bf16".to_owned()),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fp32 => "fp32",
            Self::Bf16 => "bf16",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precisions_are_parsed() {
        for precision in [Precision::Fp32, Precision::Bf16] {
            assert_eq!(precision.to_string().parse(), Ok(PrecisionChoice::Exactly(precision)));
        }
        assert!("fp64".parse::<PrecisionChoice>().is_err());
    }
}
