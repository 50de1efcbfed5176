//! Similar images.

use common::{digest::Digest, embedding::Space};

use super::{Coordinator, RequestError};
use crate::{
    api::{NeighbourView, SimilarView},
    server::{similarity::Neighbour, spaces},
};

/// Most neighbours in one answer.
const MAX_NEIGHBOURS: usize = 1000;

impl Coordinator {
    /// Finds the `count` images of datasets that are nearest to one, which is named by `sha256` or by the
    /// video it shows, in the space named or else the one in use.
    ///
    /// # Errors
    /// When the image is not known or not embedded, no space is in use, or the store does not serve.
    pub async fn similar(
        &self,
        sha256: Option<Digest>,
        video: Option<&str>,
        space: Option<String>,
        count: usize,
    ) -> Result<SimilarView, RequestError> {
        if !(1..=MAX_NEIGHBOURS).contains(&count) {
            return Err(RequestError::Invalid(format!("k must be between 1 and {MAX_NEIGHBOURS}")));
        }
        let store = &self.context.store;
        let sha256 = match (sha256, video) {
            (Some(sha256), None) => sha256,
            (None, Some(video)) => store.video_image(video).await?.ok_or_else(|| {
                RequestError::NotFound(format!(
                    "there is no file and no embedded video '{video}': embed its dataset first with `subwatch embed`"
                ))
            })?,
            _ => return Err(RequestError::Invalid("give either sha256 or video_id".to_owned())),
        };
        let space = self.space(space).await?;
        let embedding = store.embeddings(&space, &[sha256]).await?.pop().flatten();
        let embedding = embedding.ok_or_else(|| {
            RequestError::NotFound(format!(
                "image {sha256} has no embedding in the space {space}: embed it first"
            ))
        })?;
        let (found, compared) =
            self.context.similar.nearest(store, &space, &embedding, &sha256, count).await?;
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

    /// The space named, or the one in use, or the only one there is.
    pub(super) async fn space(&self, name: Option<String>) -> Result<Space, RequestError> {
        let known = self.context.store.spaces().await?;
        match name {
            Some(name) if known.contains_key(&name) => return Ok(Space(name)),
            Some(name) => return Err(unknown_space(&name)),
            None => {}
        }
        if let Some(space) = spaces::in_use(&self.context.store).await? {
            return Ok(space);
        }
        let mut names: Vec<String> = known.into_keys().collect();
        match (names.pop(), names.is_empty()) {
            (Some(only), true) => Ok(Space(only)),
            (Some(_), false) => Err(RequestError::Invalid(
                "no worker is running and there are several spaces: name one with --space".to_owned(),
            )),
            (None, _) => Err(RequestError::NotFound("nothing is embedded yet".to_owned())),
        }
    }
}

pub(super) fn unknown_space(name: &str) -> RequestError {
    RequestError::NotFound(format!("there is no space '{name}'; `subwatch spaces list` shows them"))
}
