//! Similar images.

use common::{digest::Digest, embedding::Space};
use serde::{Deserialize, Serialize};

/// Query of `GET /v1/similar`: an image by `sha256` or by `video_id`.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct SimilarParams {
    /// SHA-256 of an embedded image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// A video whose thumbnail is embedded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_id: Option<String>,
    /// The space to compare in; the one in use where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// Neighbours to find; [`Self::NEIGHBOURS`] where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k: Option<usize>,
}

impl SimilarParams {
    /// Neighbours where nothing else is asked for.
    pub const NEIGHBOURS: usize = 10;
}

/// Answer of `GET /v1/similar`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SimilarView {
    /// Digest of the image that was asked about.
    pub sha256: Digest,
    /// Where it was compared.
    pub space: Space,
    /// Images of datasets that it was compared with.
    pub compared: u64,
    /// The most similar ones, the nearest first; the image itself is left out.
    pub neighbours: Vec<NeighbourView>,
}

/// A similar image.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NeighbourView {
    /// File name relative to its dataset.
    pub item: String,
    /// The video.
    pub video_id: Option<String>,
    /// The video's channel.
    pub channel: Option<String>,
    /// Cosine of the angle between the two embeddings, from -1 to 1.
    pub cosine: f64,
    /// SHA-256 of the image.
    pub sha256: Digest,
    /// URL of its dataset.
    pub dataset: String,
}
