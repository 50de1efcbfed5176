//! Lists the videos of a user's list, with their metadata if there is a Data API key.
//!
//! Without a key, rows have only video IDs: the dataset can be embedded and predicted, but lacks the counts to train
//! on.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{api, context::SourceContext};
use crate::{
    error::CrawlError,
    listing::{Channel, Listing, Video},
    youtube::{
        api::MAX_ITEMS,
        ids::{ChannelId, VideoId},
    },
};

/// Progress of a list's metadata.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct ListDraft {
    ids: Vec<VideoId>,
    /// Number of `ids` whose details have been requested.
    checked: usize,
    /// Indices of videos in the listing whose channel is not known yet.
    channels: Vec<(usize, ChannelId)>,
    listing: Listing,
}

impl ListDraft {
    pub(super) fn new(ids: Vec<VideoId>) -> Self {
        Self { ids, checked: 0, channels: Vec::new(), listing: Listing::default() }
    }

    /// Makes one request. Returns the listing when it is complete.
    pub(super) async fn step(&mut self, context: SourceContext<'_>) -> Result<Option<Listing>, CrawlError> {
        if !context.slice.has_api_key() {
            let videos = self.ids.iter().cloned().map(Video::with_id).collect();
            return Ok(Some(Listing { videos, ..Listing::default() }));
        }
        if self.checked < self.ids.len() {
            let end = self.ids.len().min(self.checked + MAX_ITEMS);
            let requested = &self.ids[self.checked..end];
            let found = api::details(context, requested).await?;
            self.channels.extend(api::take_public(requested, found, &mut self.listing));
            self.checked = end;
            return Ok(None);
        }
        let unknown: BTreeSet<&ChannelId> = self.channels.iter().map(|(_, id)| id).collect();
        let requested: Vec<ChannelId> = unknown.into_iter().take(MAX_ITEMS).cloned().collect();
        if requested.is_empty() {
            return Ok(Some(std::mem::take(&mut self.listing)));
        }
        let found = api::channels(context, &requested).await?;
        for (index, id) in self.channels.extract_if(.., |(_, id)| requested.contains(id)) {
            // A channel deleted in the meantime is known only by its ID.
            let deleted = || Channel { id: id.clone(), title: String::new(), subscribers: None };
            self.listing.videos[index].channel = Some(found.get(&id).cloned().unwrap_or_else(deleted));
        }
        Ok(None)
    }
}
