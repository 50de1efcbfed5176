//! What became of an item: the words workers write and the coordinator reads.
//!
//! Owns the result of one item and the taxonomy of its failures; does not own how results are stored
//! (see [`crate::store`]).

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// What is said of a job whose deadline has passed.
pub const EXPIRED: &str = "the deadline of its submission has passed";

/// The result of one item of an embed, predict or crawl job.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum ItemResult {
    /// The embedding of these bytes lies in the store.
    Embedded {
        /// SHA-256 of the image file.
        sha256: Digest,
        /// Whether the embedding was there already.
        cached: bool,
    },
    /// The run's head scored the image.
    Predicted {
        /// SHA-256 of the image file.
        sha256: Digest,
        /// Whether the embedding was there already.
        cached: bool,
        /// The prediction in the target's raw units (views per subscriber, views or subscribers).
        prediction: f64,
    },
    /// The channel, or the slice of a list, lies in the dataset.
    Crawled(Crawled),
    /// The item failed alone; its neighbours are not affected.
    Failed(ItemFailure),
}

impl ItemResult {
    /// Whether the item succeeded without running the model.
    #[must_use]
    pub fn is_cached(&self) -> bool {
        matches!(self, Self::Embedded { cached: true, .. } | Self::Predicted { cached: true, .. })
    }

    /// Whether the item failed.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

/// What a crawl job brought in. Counts grow additively.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Crawled {
    /// The part of the dataset's metadata that holds the rows.
    pub part: String,
    /// The channel; nothing for a slice of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<String>,
    /// Videos the source listed.
    pub videos: u64,
    /// Thumbnails that lie in the dataset, each with its row.
    pub thumbnails: u64,
    /// Of these, the ones an earlier crawl had brought in and the site says are unchanged.
    pub kept: u64,
    /// Why there may be more videos than the source listed, where it does not just end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated_reason: Option<String>,
    /// Why videos have no row, by reason, with how many.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub skipped: BTreeMap<String, u64>,
}

/// Why an item failed. Displayed as `reason: detail`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ItemFailure {
    /// The class of failure.
    pub reason: FailureReason,
    /// What exactly was wrong, naming values.
    pub detail: String,
}

impl ItemFailure {
    /// Makes a failure of class `reason` explained by `detail`.
    #[must_use]
    pub fn new(reason: FailureReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl fmt::Display for ItemFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

impl std::error::Error for ItemFailure {}

/// The classes of item failure.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureReason {
    /// The file is not there.
    Missing,
    /// The file is there but holds no bytes.
    Empty,
    /// The file's size or bytes differ from the manifest's.
    Changed,
    /// The file or the picture in it is larger than the limits allow.
    TooLarge,
    /// The bytes are no picture that can be decoded.
    Undecodable,
    /// The metadata row is not usable.
    InvalidRow,
    /// The prediction is no finite number.
    NotFinite,
    /// Every worker that ran the item's job alone died of it.
    Poison,
    /// The job's deadline passed before the item was resolved.
    Expired,
    /// The site answers in a form that this program does not know.
    SchemaDrift,
    /// The channel or the videos are not there, or not for everybody.
    Unavailable,
    /// What was asked for may not be read: by the site's robots.txt, or for want of permission.
    Refused,
    /// Another item of the submission is about the same.
    Duplicate,
    /// The job was discarded before the item was resolved; the detail says why.
    Discarded,
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_json_shape() {
        let failed = ItemResult::Failed(ItemFailure::new(FailureReason::TooLarge, "60 megapixels"));
        let json = serde_json::to_string(&failed).unwrap();
        assert_eq!(json, r#"{"state":"failed","reason":"too-large","detail":"60 megapixels"}"#);
        assert_eq!(serde_json::from_str::<ItemResult>(&json).unwrap(), failed);
    }

    #[test]
    fn failures_read_as_reason_and_detail() {
        let failure = ItemFailure::new(FailureReason::InvalidRow, "views is negative");
        assert_eq!(failure.to_string(), "invalid-row: views is negative");
    }
}
