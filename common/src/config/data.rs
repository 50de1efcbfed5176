//! Where datasets and what the coordinator writes are kept.

use serde::{Deserialize, Serialize};

/// Folders and buckets that the coordinator reads and writes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct DataSettings {
    /// Folders that server-side paths may lie in, separated by `:`; also `s3://BUCKET/PREFIX`. Default: the
    /// folder the coordinator was started in.
    pub dataset_roots: Option<String>,
    /// Folder for manifests and what runs leave, read by the workers too; also `s3://BUCKET/PREFIX`.
    /// Default `.subwatch` in the folder the coordinator was started in.
    pub artifacts: String,
}

impl Default for DataSettings {
    fn default() -> Self {
        Self { dataset_roots: None, artifacts: ".subwatch".to_owned() }
    }
}
