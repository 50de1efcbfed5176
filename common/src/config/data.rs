//! Locations of datasets and artifacts.

use std::path::Path;

use documented::{Documented, DocumentedFields};
use serde::{Deserialize, Serialize};
use url::Url;

use super::error::ConfigError;

/// Storage: datasets and artifacts.
#[derive(Clone, Debug, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default)]
pub struct DataSettings {
    /// Folders and `s3://BUCKET/PREFIX` URLs that datasets may be read from and crawled into, separated by `:`. If
    /// unset, the folder that the program was started in. Coordinators and workers need the same value, since each
    /// opens datasets only there.
    pub dataset_roots: Option<String>,
    /// Folder or `s3://BUCKET/PREFIX` URL for manifests and the files of runs. Coordinators and workers need the same
    /// value; workers must be able to read it.
    pub artifacts: String,
}

impl Default for DataSettings {
    fn default() -> Self {
        Self { dataset_roots: None, artifacts: ".subwatch".to_owned() }
    }
}

impl DataSettings {
    /// The dataset roots, by default the current folder.
    ///
    /// # Errors
    /// If the current folder is unknown.
    pub fn roots(&self) -> Result<String, ConfigError> {
        let current = || match std::env::current_dir() {
            Ok(folder) => Ok(folder.display().to_string()),
            Err(error) => Err(ConfigError::about(
                "dataset_roots",
                format!(" is unset, and the current folder is unknown: {error}"),
            )),
        };
        self.dataset_roots.clone().map_or_else(current, Ok)
    }

    /// The URL of the artifacts folder, with a slash at its end.
    ///
    /// # Errors
    /// If it is neither a path nor a URL.
    pub fn artifacts_url(&self) -> Result<Url, ConfigError> {
        let want = "a folder or s3://BUCKET/PREFIX";
        let invalid = || ConfigError::invalid("artifacts", &self.artifacts, want);
        if self.artifacts.contains("://") {
            return Url::parse(&format!("{}/", self.artifacts.trim_end_matches('/'))).map_err(|_| invalid());
        }
        let folder = std::path::absolute(Path::new(&self.artifacts)).map_err(|_| invalid())?;
        Url::from_directory_path(folder).map_err(|()| invalid())
    }
}
