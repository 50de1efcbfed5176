//! A listing as far as it has been read, whichever source it comes from.
//!
//! Owns the choice of the source, and the way to a complete listing in steps that can be interrupted: each draft holds
//! what was answered so far, so that a job that comes back goes on from there.

use common::job::{
    crawl::{CrawlItem, CrawlPlan, CrawlTarget, Source},
    outcome::FailureReason,
};
use serde::{Deserialize, Serialize};

use super::{api::ApiDraft, context::SourceContext, named_videos::ListDraft, page::PageDraft};
use crate::{error::CrawlError, listing::Listing, youtube::ids::ChannelRef};

/// A listing, as far as it is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Draft {
    /// A channel, by the Data API.
    Api(ApiDraft),
    /// A channel, by its pages.
    Page(PageDraft),
    /// Videos that were named.
    List(ListDraft),
    /// Nothing is left to ask.
    Complete(Listing),
}

impl Draft {
    /// Begins a listing.
    ///
    /// # Errors
    /// When the item is none that the plan's source can list.
    pub(crate) fn begin(plan: &CrawlPlan, item: &CrawlItem) -> Result<Self, CrawlError> {
        let unusable =
            |error: &dyn std::fmt::Display| CrawlError::item(FailureReason::InvalidRow, error.to_string());
        Ok(match (&item.target, plan.source) {
            (CrawlTarget::Channel(channel), source) => {
                let channel: ChannelRef = channel.parse().map_err(|error| unusable(&error))?;
                match source {
                    Source::Api => Self::Api(ApiDraft::of(channel)),
                    Source::Page if plan.page_reading => Self::Page(PageDraft::of(channel)),
                    Source::Page => {
                        return Err(CrawlError::item(
                            FailureReason::Refused,
                            "nobody asked for pages to be read",
                        ));
                    }
                    Source::List => return Err(unusable(&"a channel is no list of videos")),
                }
            }
            (CrawlTarget::Videos(videos), _) => {
                let videos: Result<Vec<_>, _> = videos.iter().map(|video| video.parse()).collect();
                Self::List(ListDraft::of(videos.map_err(|error| unusable(&error))?))
            }
        })
    }

    /// Asks for whatever is missing, and returns the listing. Interrupted or refused, the draft holds all that
    /// was asked so far.
    ///
    /// # Errors
    /// See [`CrawlError`].
    pub(crate) async fn complete(&mut self, context: SourceContext<'_>) -> Result<Listing, CrawlError> {
        loop {
            let complete = match self {
                Self::Complete(listing) => return Ok(listing.clone()),
                Self::Api(draft) => draft.step(context).await?,
                Self::Page(draft) => draft.step(context).await?,
                Self::List(draft) => draft.step(context).await?,
            };
            if let Some(mut listing) = complete {
                listing.listed_ms = context.store.now_ms().await?;
                *self = Self::Complete(listing);
            }
        }
    }
}
