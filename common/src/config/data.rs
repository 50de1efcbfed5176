//! Locations of datasets and artifacts.

use documented::{Documented, DocumentedFields};
use serde::{Deserialize, Serialize};

/// Storage: datasets and artifacts.
#[derive(Clone, Debug, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default)]
pub struct DataSettings {
    /// Folders and `s3://BUCKET/PREFIX` URLs that datasets may be read from and crawled into,
    /// separated by `:`. If unset, the folder that the coordinator was started in. Workers need it only for links
    /// that lead out of a dataset.
    pub dataset_roots: Option<String>,
    /// Folder or `s3://BUCKET/PREFIX` URL for manifests and the files of runs; workers must be able to read
    /// it.
    pub artifacts: String,
}

impl Default for DataSettings {
    fn default() -> Self {
        Self { dataset_roots: None, artifacts: ".subwatch".to_owned() }
    }
}
