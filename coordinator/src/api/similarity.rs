//! Similarity search.

use common::{digest::Digest, embedding::Space};
use serde::{Deserialize, Serialize};

/// Query of `GET /v1/similar`, with the image as exactly one of `sha256` and `video_id`.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimilarParams {
    /// SHA-256 of an embedded image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// A video whose thumbnail is embedded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_id: Option<String>,
    /// Embedding space to search. Default: the one in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// Number of neighbours, from 1 to 1000. Default: [`Self::DEFAULT_K`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k: Option<usize>,
}

impl SimilarParams {
    pub const DEFAULT_K: usize = 10;
}

/// Response of `GET /v1/similar`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SimilarView {
    /// SHA-256 of the query image.
    pub sha256: Digest,
    /// The embedding space that was searched.
    pub space: Space,
    /// Number of images that could be found: those of datasets, without the query image.
    pub compared: u64,
    /// File name of the query image, if it is in an embedded dataset itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_as: Option<String>,
    /// Nearest images, most similar first, without the query image itself.
    pub neighbours: Vec<NeighbourView>,
}

/// A similar image.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NeighbourView {
    /// File name relative to its dataset.
    pub item: String,
    pub video_id: Option<String>,
    pub channel: Option<String>,
    /// Cosine similarity of the embeddings, from -1 to 1.
    pub cosine: f64,
    /// SHA-256 of the image.
    pub sha256: Digest,
    /// URL of the dataset.
    pub dataset: String,
    /// Names of the same image in other rows and datasets; those with metadata first, then the newest. Absent where the
    /// response would exceed 1 MiB.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_names: Vec<ImageName>,
}

/// A name of an image.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ImageName {
    /// File name relative to its dataset.
    pub item: String,
    pub video_id: Option<String>,
    pub channel: Option<String>,
    /// URL of the dataset.
    pub dataset: String,
}
