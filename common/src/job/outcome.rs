//! What became of an item: the words workers write and the coordinator reads.
//!
//! Owns the result of one item and the taxonomy of its failures; does not own how results are stored (see
//! [`crate::store`]). Invariant: a result or a failure that a newer worker wrote is read, with the words that this
//! version does not know.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// What is said of a job whose submission has ended.
pub const CLOSED: &str = "its submission is closed";
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
    /// A result of another version.
    #[serde(untagged)]
    Other(OtherResult),
}

/// A result whose state this version does not know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Tag")]
pub struct OtherResult {
    /// The word for it.
    pub state: String,
}

/// The state of any result.
#[derive(Deserialize)]
struct Tag {
    state: String,
}

impl TryFrom<Tag> for OtherResult {
    type Error = String;

    /// Refuses the states that are known, so that a broken result is not taken for one of another version.
    fn try_from(Tag { state }: Tag) -> Result<Self, String> {
        match state.as_str() {
            "embedded" | "predicted" | "crawled" | "failed" => Err(format!("the result '{state}' is broken")),
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
    pub cut_short: Option<String>,
    /// Why videos have no row, by reason, with how many.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, u64>,
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
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
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
    /// A class of another version.
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
    fn results_of_other_versions_are_read() {
        let read = |json: &str| serde_json::from_str::<ItemResult>(json);
        let failed = read(r#"{"state":"failed","reason":"too-blue","detail":"all of it"}"#).unwrap();
        let ItemResult::Failed(failure) = &failed else { panic!("{failed:?}") };
        assert_eq!(failure.reason, FailureReason::Other("too-blue".to_owned()));
        assert_eq!((failed.is_failed(), failure.to_string().as_str()), (true, "too-blue: all of it"));
        let other = read(r#"{"state":"danced","steps":3}"#).unwrap();
        assert_eq!(other, ItemResult::Other(OtherResult { state: "danced".to_owned() }));
        for broken in
            [r#"{"state":"embedded"}"#, r#"{"state":"predicted","cached":true}"#, r#"{"state":"failed"}"#]
        {
            assert!(read(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn failures_read_as_reason_and_detail() {
        let failure = ItemFailure::new(FailureReason::InvalidRow, "views is negative");
        assert_eq!(failure.to_string(), "invalid-row: views is negative");
    }
}
