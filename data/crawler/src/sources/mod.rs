//! Where listings come from, one module a source.
//!
//! Owns the way to a complete listing in steps that can be interrupted: what was asked already is part of the
//! draft, so a job that comes back goes on from there. Does not own what answers mean.

mod api;
mod list;
mod page;

use common::{
    job::{
        crawl::{CrawlItem, CrawlPlan, Source, Target},
        outcome::FailureReason,
    },
    store::Store,
};
use serde::{Deserialize, Serialize};
use url::Url;

use self::{api::ApiDraft, list::ListDraft, page::PageDraft};
use crate::{
    Answers, Listing, Stop, Turn,
    http::Answer,
    kept::Means,
    youtube::{
        faults::{Fault, FaultClass},
        ids::ChannelRef,
    },
};

/// A listing, as far as it is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Draft {
    /// A channel, by the Data API.
    Api(ApiDraft),
    /// A channel, by its pages.
    Page(PageDraft),
    /// Videos that were named.
    List(ListDraft),
    /// Nothing is left to ask.
    Complete(Listing),
}

/// What a source asks with.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// The turn within which it must be over.
    pub turn: &'a Turn,
    /// Keeps what cannot be read.
    pub answers: &'a Answers<'a>,
    /// What is wanted.
    pub plan: &'a CrawlPlan,
    /// Tells the time.
    pub store: &'a Store,
}

impl Draft {
    /// Begins a listing.
    ///
    /// # Errors
    /// When the item is none that the plan's source can list.
    pub fn begin(plan: &CrawlPlan, item: &CrawlItem) -> Result<Self, Stop> {
        let unusable =
            |error: &dyn std::fmt::Display| Stop::item(FailureReason::InvalidRow, error.to_string());
        Ok(match (&item.target, plan.source) {
            (Target::Channel(channel), source) => {
                let channel: ChannelRef = channel.parse().map_err(|error| unusable(&error))?;
                match source {
                    Source::Api => Self::Api(ApiDraft::of(channel)),
                    Source::Page if plan.page_reading => Self::Page(PageDraft::of(channel)),
                    Source::Page => {
                        return Err(Stop::item(FailureReason::Refused, "nobody asked for pages to be read"));
                    }
                    Source::List => return Err(unusable(&"a channel is no list of videos")),
                }
            }
            (Target::Videos(videos), _) => {
                let videos: Result<Vec<_>, _> = videos.iter().map(|video| video.parse()).collect();
                Self::List(ListDraft::of(videos.map_err(|error| unusable(&error))?))
            }
        })
    }

    /// Asks for whatever is missing, and returns the listing. Interrupted or refused, the draft holds all that
    /// was asked so far.
    ///
    /// # Errors
    /// See [`Stop`].
    pub async fn complete(&mut self, asking: Asking<'_>) -> Result<Listing, Stop> {
        loop {
            let complete = match self {
                Self::Complete(listing) => return Ok(listing.clone()),
                Self::Api(draft) => draft.step(asking).await?,
                Self::Page(draft) => draft.step(asking).await?,
                Self::List(draft) => draft.step(asking).await?,
            };
            if let Some(mut listing) = complete {
                listing.listed_ms = asking.store.now_ms().await?;
                *self = Self::Complete(listing);
            }
        }
    }
}

/// What a fault of a page means for the job; an answer in a form that is not known is kept.
async fn faulty(asking: Asking<'_>, means: Means, answer: &Answer, fault: &Fault) -> Stop {
    match fault.class() {
        FaultClass::Permanent => Stop::item(FailureReason::Unavailable, fault.to_string()),
        FaultClass::Transient => Stop::retryable(format!("{}: {fault}", answer.url)),
        FaultClass::Blocked => asking.turn.trouble(&answer.url, &fault.to_string()).await,
        FaultClass::Drift => asking.answers.drifted(means, answer, fault).await,
    }
}

/// A URL below a base, whose path ends with `/`.
fn below(base: &Url, path: &str) -> Result<Url, Stop> {
    let path = path.trim_start_matches('/');
    base.join(path).map_err(|error| {
        Stop::item(FailureReason::InvalidRow, format!("'{path}' below {base} makes no URL: {error}"))
    })
}
