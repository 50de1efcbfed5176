//! How a worker computes: the backbone, and the decoding of what it is given.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::{ConfigError, PREFIX, fail};

/// The backbone and the image decoder of a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelSettings {
    /// Backbone weights: a path to `.pth` or `.safetensors`, an https URL, or `random:SEED`.
    /// Default: torchvision's IMAGENET1K_V1.
    pub model_weights: Option<String>,
    /// Precision of the backbone: `auto`, `fp32` or `bf16`. Default `auto`.
    pub model_precision: String,
    /// Device of the backbone: `auto`, `cpu` or `cuda:N`. Default `auto`.
    pub model_device: String,
    /// Compute threads of the backbone. Default: one per core.
    pub model_threads: Option<usize>,
    /// Folder for downloaded weights. Default `$XDG_CACHE_HOME/subwatch` or `~/.cache/subwatch`.
    pub cache_dir: Option<PathBuf>,
    /// Threads that decode images. Default: one per core.
    pub decode_threads: Option<usize>,
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
        }
    }
}

impl ModelSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.model_threads == Some(0) || self.decode_threads == Some(0) {
            return fail("model_threads or decode_threads", &0, "at least 1");
        }
        if !["auto", "fp32", "bf16"].contains(&self.model_precision.as_str()) {
            return fail("model_precision", &self.model_precision, "auto, fp32 or bf16");
        }
        Ok(())
    }

    /// Folder for downloaded weights.
    ///
    /// # Errors
    /// When it is not set and there is no home folder to put it in.
    pub fn cache_dir(&self) -> Result<PathBuf, ConfigError> {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
        let variable =
            |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        self.cache_dir
            .clone()
            .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("subwatch")))
            .or_else(|| variable("HOME").map(|home| home.join(".cache/subwatch")))
            .ok_or_else(|| {
                ConfigError::general(format!("no folder for downloaded weights: set {PREFIX}_CACHE_DIR"))
            })
    }
}
