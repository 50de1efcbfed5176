//! Videos that were named: what is known of them, where there is a key for the Data API.
//!
//! Without a key nothing is asked, and the rows say what the list said: which videos. Such a dataset can be
//! embedded and predicted, and lacks the counts to train on.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{api, context::SourceContext};
use crate::{
    error::CrawlError,
    listing::{Channel, Listing, Video},
    youtube::{
        api::MOST_ITEMS,
        ids::{ChannelId, VideoId},
    },
};

/// A slice of a list, as far as it is known.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct ListDraft {
    ids: Vec<VideoId>,
    /// How many of `ids` were looked at.
    looked_at: usize,
    /// Places in the listing, and whose video stands there.
    channels: Vec<(usize, ChannelId)>,
    listing: Listing,
}

impl ListDraft {
    pub(super) fn of(ids: Vec<VideoId>) -> Self {
        Self { ids, looked_at: 0, channels: Vec::new(), listing: Listing::default() }
    }

    /// Makes one request. Returns the listing once nothing is left to ask.
    pub(super) async fn step(&mut self, context: SourceContext<'_>) -> Result<Option<Listing>, CrawlError> {
        if !context.slice.has_api_key() {
            let videos = self.ids.iter().cloned().map(Video::named).collect();
            return Ok(Some(Listing { videos, ..Listing::default() }));
        }
        if self.looked_at < self.ids.len() {
            let end = self.ids.len().min(self.looked_at + MOST_ITEMS);
            let asked = &self.ids[self.looked_at..end];
            let found = api::details(context, asked).await?;
            self.channels.extend(api::take(asked, found, &mut self.listing));
            self.looked_at = end;
            return Ok(None);
        }
        let unknown: BTreeSet<&ChannelId> = self.channels.iter().map(|(_, id)| id).collect();
        let asked: Vec<ChannelId> = unknown.into_iter().take(MOST_ITEMS).cloned().collect();
        if asked.is_empty() {
            return Ok(Some(std::mem::take(&mut self.listing)));
        }
        let found = api::channels(context, &asked).await?;
        for (place, id) in self.channels.extract_if(.., |(_, id)| asked.contains(id)) {
            // A channel that is gone meanwhile is still known by its id.
            let gone = || Channel { id: id.clone(), title: String::new(), subscribers: None };
            self.listing.videos[place].channel = Some(found.get(&id).cloned().unwrap_or_else(gone));
        }
        Ok(None)
    }
}
