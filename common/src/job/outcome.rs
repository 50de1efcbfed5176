//! The result of one item and the classes of item failure. Workers write them, the coordinator reads them.
//!
//! Invariant: results with states or reasons of a newer version parse.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Why the outcome of a job is ignored after its submission has ended.
pub const CLOSED: &str = "the submission is closed";
/// Error of a job that passed its deadline.
pub const EXPIRED: &str = "the submission's deadline has passed";

/// The result of one item of an embed, predict or crawl job.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum ItemResult {
    /// The embedding of the image is stored.
    Embedded {
        /// SHA-256 of the image file.
        sha256: Digest,
        /// Whether the embedding was already stored.
        cached: bool,
    },
    /// The run's head made a prediction for the image.
    Predicted {
        /// SHA-256 of the image file.
        sha256: Digest,
        /// Whether the embedding was already stored.
        cached: bool,
        /// The prediction in the target's raw units (views per subscriber, views or subscribers).
        prediction: f64,
    },
    /// The channel, or part of a video list, was added to the dataset.
    Crawled(Crawled),
    /// The item failed. The job's other items are not affected.
    Failed(ItemFailure),
    /// A result of a newer version.
    #[serde(untagged)]
    Other(OtherResult),
}

/// A result with an unknown state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Tag")]
pub struct OtherResult {
    pub state: String,
}

#[derive(Deserialize)]
struct Tag {
    state: String,
}

impl TryFrom<Tag> for OtherResult {
    type Error = String;

    /// Rejects known states, so that a malformed result does not pass as one of a newer version.
    fn try_from(Tag { state }: Tag) -> Result<Self, String> {
        match state.as_str() {
            "embedded" | "predicted" | "crawled" | "failed" => {
                Err(format!("malformed result with the state '{state}'"))
            }
            _ => Ok(Self { state }),
        }
    }
}

impl ItemResult {
    /// Whether the item succeeded without running the model.
    #[must_use]
    pub fn is_cached(&self) -> bool {
        matches!(self, Self::Embedded { cached: true, .. } | Self::Predicted { cached: true, .. })
    }

    #[must_use]
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

/// What a crawl job added to the dataset. New counts are additive: they default to 0.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Crawled {
    /// The part of the dataset's metadata with the rows: the channel's ID, or that of the list.
    pub part: String,
    /// `None` for part of a video list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<String>,
    /// Videos that the source listed.
    pub videos: u64,
    /// Thumbnails in the dataset, each with a row.
    pub thumbnails: u64,
    /// Of the thumbnails, those stored by an earlier crawl and unchanged since.
    pub unchanged: u64,
    /// Why the listing is incomplete, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated_reason: Option<String>,
    /// Number of videos without a row, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub skipped: BTreeMap<String, u64>,
}

/// Why an item failed. Displayed as `reason: detail`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ItemFailure {
    pub reason: FailureReason,
    /// The exact problem, with values; cut off after [`ItemFailure::MAX_DETAIL_BYTES`].
    pub detail: String,
}

impl ItemFailure {
    /// Details quote what users wrote, and are stored once an item.
    pub const MAX_DETAIL_BYTES: usize = 2048;

    #[must_use]
    pub fn new(reason: FailureReason, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if detail.len() > Self::MAX_DETAIL_BYTES {
            detail.truncate(detail.floor_char_boundary(Self::MAX_DETAIL_BYTES));
            detail.push('…');
        }
        Self { reason, detail }
    }
}

impl fmt::Display for ItemFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

impl std::error::Error for ItemFailure {}

/// The classes of item failure.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureReason {
    /// The file does not exist.
    Missing,
    /// The file is empty.
    Empty,
    /// The file's size or bytes differ from the manifest's.
    Changed,
    /// The file or its image exceeds the size limits.
    TooLarge,
    /// The file cannot be decoded as an image.
    Undecodable,
    /// The metadata row is invalid.
    InvalidRow,
    /// The prediction is NaN or infinite.
    NotFinite,
    /// Several workers died while running the item's job exclusively.
    Poison,
    /// The deadline passed before the item was resolved.
    Expired,
    /// The site responded in an unknown format.
    SchemaDrift,
    /// The channel or video does not exist or is not public.
    Unavailable,
    /// Reading it is forbidden by robots.txt or needs permission.
    Refused,
    /// Another item of the submission is the same channel or video.
    Duplicate,
    /// The job was discarded before the item was resolved; the detail contains the reason.
    Discarded,
    /// A reason of a newer version.
    #[serde(untagged)]
    Other(String),
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
    fn results_of_newer_versions_parse() {
        let read = |json: &str| serde_json::from_str::<ItemResult>(json);
        let failed = read(r#"{"state":"failed","reason":"too-blue","detail":"all of it"}"#).unwrap();
        let ItemResult::Failed(failure) = &failed else { panic!("{failed:?}") };
        assert_eq!(failure.reason, FailureReason::Other("too-blue".to_owned()));
        assert_eq!((failed.is_failed(), failure.to_string().as_str()), (true, "too-blue: all of it"));
        let other = read(r#"{"state":"danced","steps":3}"#).unwrap();
        assert_eq!(other, ItemResult::Other(OtherResult { state: "danced".to_owned() }));
        for malformed in
            [r#"{"state":"embedded"}"#, r#"{"state":"predicted","cached":true}"#, r#"{"state":"failed"}"#]
        {
            assert!(read(malformed).is_err(), "{malformed}");
        }
    }

    #[test]
    fn failures_display_reason_and_detail() {
        let failure = ItemFailure::new(FailureReason::InvalidRow, "views is negative");
        assert_eq!(failure.to_string(), "invalid-row: views is negative");
    }
}
