//! A similarity search: from an image that is named to its neighbours with their names.

use common::{digest::Digest, store::Store};

use super::index::{Neighbour, SimilarityIndex};
use crate::{
    api::{NeighbourView, SimilarView},
    server::{error::RequestError, spaces},
};

/// Most neighbours in one answer.
const MAX_NEIGHBOURS: usize = 1000;

/// What is searched for: the `count` images nearest to the one with the digest `sha256`, or else to the one
/// that the video shows.
pub(crate) struct Query {
    pub(crate) sha256: Option<Digest>,
    pub(crate) video: Option<String>,
    /// The space to compare in; without one, that in use.
    pub(crate) space: Option<String>,
    pub(crate) count: usize,
}

/// Finds the images of datasets that are nearest to one.
///
/// # Errors
/// When the image is not known or not embedded, no space is in use, or the store does not serve.
pub(crate) async fn search(
    store: &Store,
    index: &SimilarityIndex,
    query: Query,
) -> Result<SimilarView, RequestError> {
    let Query { sha256, video, space, count } = query;
    if !(1..=MAX_NEIGHBOURS).contains(&count) {
        return Err(RequestError::Invalid(format!("k must be between 1 and {MAX_NEIGHBOURS}")));
    }
    let sha256 = match (sha256, video) {
        (Some(sha256), None) => sha256,
        (None, Some(video)) => store.video_image(&video).await?.ok_or_else(|| {
            RequestError::NotFound(format!(
                "there is no file and no embedded video '{video}': embed its dataset first with `subwatch embed`"
            ))
        })?,
        _ => return Err(RequestError::Invalid("give either sha256 or video_id".to_owned())),
    };
    let space = spaces::choose(store, space).await?;
    let embedding = store.embeddings(&space, &[sha256]).await?.pop().flatten();
    let embedding = embedding.ok_or_else(|| {
        RequestError::NotFound(format!(
            "image {sha256} has no embedding in the space {space}: embed it first"
        ))
    })?;
    let (found, compared) = index.nearest(store, &space, &embedding, &sha256, count).await?;
    let neighbour = |found: Neighbour| NeighbourView {
        item: found.entry.item,
        video_id: found.entry.video_id,
        channel: found.entry.channel,
        cosine: f64::from(found.cosine),
        sha256: found.digest,
        dataset: found.entry.dataset,
    };
    let neighbours = found.into_iter().map(neighbour).collect();
    Ok(SimilarView { sha256, space, compared: compared as u64, neighbours })
}
