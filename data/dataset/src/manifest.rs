//! Manifests: what a submission is about, fixed when it is made.
//!
//! Owns the items; a manifest is [parts](crate::files::parts) of them. Does not own which items there are (see
//! [`crate::imagefolder`]). Invariant: a manifest never changes.

use common::{digest::Digest, job::outcome::ItemFailure};
use serde::{Deserialize, Serialize};

/// One image of a submission.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ManifestItem {
    /// File name relative to the dataset, or the name an upload was given.
    pub item: String,
    /// Size of the file.
    pub bytes: u64,
    /// SHA-256 of the file, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// Video the image belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_id: Option<String>,
    /// Channel of the video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<String>,
    /// Name of the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Views of the video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub views: Option<u64>,
    /// Subscribers of the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscribers: Option<u64>,
}

impl ManifestItem {
    /// Makes an item that has a name and nothing else.
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
        }
    }

    /// Makes the item of an uploaded image.
    #[must_use]
    pub fn uploaded(item: &str, bytes: u64, sha256: Digest) -> Self {
        Self { bytes, sha256: Some(sha256), ..Self::named(item) }
    }
}

/// What stands in a manifest for a row or image that was rejected. It reads as a [`ManifestItem`] as well.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RejectedItem {
    /// Its name.
    #[serde(flatten)]
    pub item: ManifestItem,
    /// What is wrong with it.
    pub failure: ItemFailure,
}
