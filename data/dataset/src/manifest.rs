//! Manifests: the items of a submission, fixed when it is created.
//!
//! A manifest is stored as [parts](crate::files::parts) and never changes. Its items come from
//! [`crate::imagefolder`].

use common::{digest::Digest, job::outcome::ItemFailure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest name of an item, and longest ID or name of a video or channel, in bytes. As long as a key of S3.
pub const MAX_NAME_BYTES: usize = 1024;
/// Why a run skips an image without a row.
pub const NO_ROW: &str = "no metadata row";

/// One image of a submission.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ManifestItem {
    /// Path relative to the dataset, or the name of an upload.
    pub item: String,
    pub bytes: u64,
    /// SHA-256 of the file, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<String>,
    /// Channel name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub views: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscribers: Option<u64>,
    /// Whether the image is in a dataset and no row names it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_row: bool,
    /// Values of the columns that a prediction carries along, in their order; empty if it has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Value>,
}

impl ManifestItem {
    /// Creates an item with only a name.
    #[must_use]
    pub fn named(item: &str) -> Self {
        Self {
            item: item.to_owned(),
            bytes: 0,
            sha256: None,
            video_id: None,
            channel_id: None,
            channel: None,
            views: None,
            subscribers: None,
            without_row: false,
            values: Vec::new(),
        }
    }

    #[must_use]
    pub fn uploaded(item: &str, bytes: u64, sha256: Digest) -> Self {
        Self { bytes, sha256: Some(sha256), ..Self::named(item) }
    }
}

/// A rejected row or image in a manifest. Its JSON also deserializes as a [`ManifestItem`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RejectedItem {
    #[serde(flatten)]
    pub item: ManifestItem,
    pub failure: ItemFailure,
}
