//! The similarity search operation: from a query image to its neighbours.

use common::{
    digest::Digest,
    store::{CatalogueEntry, Store},
};

use super::index::{Found, Neighbour, SimilarityIndex};
use crate::{
    api::{ImageName, NeighbourView, SimilarView},
    server::{error::RequestError, pages::PageSize, spaces},
};

/// Limit of `count`.
const MAX_NEIGHBOURS: usize = 1000;

/// The query image is given by its digest or by its video; exactly one of the two.
pub(crate) struct Query {
    pub(crate) sha256: Option<Digest>,
    pub(crate) video_id: Option<String>,
    /// Default: the space in use.
    pub(crate) space: Option<String>,
    /// Number of neighbours to return.
    pub(crate) count: usize,
}

/// Finds the dataset images nearest to the query image.
///
/// # Errors
/// `Invalid` if the query is malformed; `NotFound` if the image is unknown or has no embedding in the space.
pub(crate) async fn search(
    store: &Store,
    index: &SimilarityIndex,
    query: Query,
) -> Result<SimilarView, RequestError> {
    let Query { sha256, video_id, space, count } = query;
    if !(1..=MAX_NEIGHBOURS).contains(&count) {
        let detail = format!("k is {count}: it must be between 1 and {MAX_NEIGHBOURS}");
        return Err(RequestError::Invalid(detail));
    }
    let name = match &video_id {
        Some(video_id) => format!("video {video_id}"),
        None => "the image".to_owned(),
    };
    let sha256 = match (sha256, video_id) {
        (Some(sha256), None) => sha256,
        (None, Some(video_id)) => store.video_image(&video_id).await?.ok_or_else(|| {
            RequestError::NotFound(format!(
                "'{video_id}' is neither a file nor an embedded video: embed its dataset first with \
                 `subwatch embed`"
            ))
        })?,
        _ => return Err(RequestError::Invalid("give exactly one of sha256 and video_id".to_owned())),
    };
    let space = spaces::choose(store, space).await?;
    let embedding = store.embeddings(&space, &[sha256]).await?.pop().flatten();
    let embedding = embedding.ok_or_else(|| {
        RequestError::NotFound(format!(
            "{name} has no embedding in the embedding space {space}: embed its dataset with `subwatch embed`"
        ))
    })?;
    let Found { neighbours, named } = index.nearest(store, &space, &embedding, &sha256, count).await?;
    let mut size = PageSize::default();
    let shown = |neighbour| {
        let mut neighbour = view(neighbour)?;
        if size.is_full() {
            neighbour.other_names.clear();
        }
        size.add(&neighbour);
        Some(neighbour)
    };
    let neighbours = neighbours.into_iter().filter_map(shown).collect();
    let known_as = store.catalogue(&[sha256]).await?.pop().and_then(|names| names.into_iter().next());
    // Uploads have embeddings, but are never found; nor is the query itself.
    let compared = named.saturating_sub(u64::from(known_as.is_some()));
    let known_as = known_as.map(|name| name.item);
    Ok(SimilarView { sha256, space, compared, known_as, neighbours })
}

/// Shows an image by its best name; `None` if it has no name.
fn view(neighbour: Neighbour) -> Option<NeighbourView> {
    let mut names = neighbour.names.into_iter();
    let CatalogueEntry { item, dataset, video_id, channel } = names.next()?;
    let other = |name: CatalogueEntry| {
        let CatalogueEntry { item, dataset, video_id, channel } = name;
        ImageName { item, video_id, channel, dataset }
    };
    Some(NeighbourView {
        item,
        video_id,
        channel,
        cosine: f64::from(neighbour.cosine),
        sha256: neighbour.digest,
        dataset,
        other_names: names.map(other).collect(),
    })
}
