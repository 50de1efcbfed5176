//! A partial listing that can be stored and resumed.
//!
//! Owns the choice of the source. A draft holds all responses so far, so a snoozed or retried job continues from it.

use common::job::{
    crawl::{CrawlItem, CrawlPlan, CrawlTarget, Source},
    outcome::FailureReason,
};
use serde::{Deserialize, Serialize};

use super::{api::ApiDraft, context::SourceContext, named_videos::ListDraft, page::PageDraft};
use crate::{error::CrawlError, listing::Listing, youtube::ids::ChannelRef};

/// A partial or complete listing.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Draft {
    Api(ApiDraft),
    Page(PageDraft),
    List(ListDraft),
    Complete(Listing),
}

impl Draft {
    /// Begins a listing, if the plan's source can list the item.
    pub(crate) fn begin(plan: &CrawlPlan, item: &CrawlItem) -> Result<Self, CrawlError> {
        let invalid =
            |error: &dyn std::fmt::Display| CrawlError::item(FailureReason::InvalidRow, error.to_string());
        Ok(match (&item.target, plan.source) {
            (CrawlTarget::Channel(channel), source) => {
                let channel: ChannelRef = channel.parse().map_err(|error| invalid(&error))?;
                match source {
                    Source::Api => Self::Api(ApiDraft::new(channel)),
                    Source::Page if plan.page_reading => Self::Page(PageDraft::new(channel)),
                    Source::Page => {
                        return Err(CrawlError::item(
                            FailureReason::Refused,
                            "the source 'page' requires --read-pages",
                        ));
                    }
                    Source::List => return Err(invalid(&"the source 'list' takes videos, not channels")),
                }
            }
            (CrawlTarget::Videos(videos), _) => {
                let videos: Result<Vec<_>, _> = videos.iter().map(|video| video.parse()).collect();
                Self::List(ListDraft::new(videos.map_err(|error| invalid(&error))?))
            }
        })
    }

    /// Makes the remaining requests and returns the listing. After an error or when dropped, the draft holds all
    /// responses so far.
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
