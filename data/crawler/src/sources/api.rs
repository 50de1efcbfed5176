//! A channel by YouTube's Data API v3: the channel, its uploads, and what is known of each.
//!
//! Owns which requests are made, 1 unit of the key's quota each. The most popular videos are found by looking
//! at all uploads, for searching costs a hundred times as much and leaves videos out.

use std::collections::{BTreeMap, HashMap};

use common::job::{crawl::Order, outcome::FailureReason};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::context::{SourceContext, below};
use crate::{
    error::CrawlError,
    http::{Answer, HostKind, WebError},
    listing::{Channel, Listing, Video},
    recorded_response::Endpoint,
    youtube::{
        api::{
            self, ApiChannel, ApiError, ApiVideo, Broadcast, CHANNEL_PARTS, MOST_ITEMS, UPLOADS_PARTS,
            VIDEO_PARTS,
        },
        faults::{FaultClass, SchemaDrift},
        ids::{ChannelId, ChannelRef, VideoId},
    },
};

/// Uploads looked at for the most popular ones.
const MOST_UPLOADS: usize = 5_000;
/// Uploads of which all have been hidden since they were listed: so many are not believed.
const DOUBTED: usize = 5;

/// A channel's listing, as far as it is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct ApiDraft {
    channel: ChannelRef,
    known: Option<Known>,
    /// Uploads, the latest first.
    ids: Vec<VideoId>,
    more: More,
    /// How many of `ids` were looked at.
    looked_at: usize,
    listing: Listing,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Known {
    channel: Channel,
    uploads: String,
}

/// What of the uploads is not listed yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum More {
    First,
    After(String),
    Nothing,
}

impl ApiDraft {
    pub(super) fn of(channel: ChannelRef) -> Self {
        Self {
            channel,
            known: None,
            ids: Vec::new(),
            more: More::First,
            looked_at: 0,
            listing: Listing::default(),
        }
    }

    /// Makes one request. Returns the listing once nothing is left to ask.
    pub(super) async fn step(&mut self, context: SourceContext<'_>) -> Result<Option<Listing>, CrawlError> {
        let Some(known) = &self.known else {
            let found = channel(context, &self.channel).await?;
            let ApiChannel { id, title, subscribers, uploads, .. } = found;
            self.known = Some(Known { channel: Channel { id, title, subscribers }, uploads });
            return Ok(None);
        };
        let wanted = context.plan.videos_per_channel as usize;
        let is_known = self.looked_at == self.ids.len();
        let wants_more = match context.plan.order {
            Order::Newest => is_known && self.listing.videos.len() < wanted,
            Order::Popular => self.ids.len() < MOST_UPLOADS,
        };
        if wants_more && self.more != More::Nothing {
            let (ids, more) = uploads(context, &known.uploads, &self.more).await?;
            // A video that is published meanwhile moves the others to the next page.
            let known: Vec<VideoId> = ids.into_iter().filter(|id| !self.ids.contains(id)).collect();
            self.ids.extend(known);
            self.more = more;
            return Ok(None);
        }
        if !is_known {
            let end = self.ids.len().min(self.looked_at + MOST_ITEMS);
            let asked = &self.ids[self.looked_at..end];
            let found = details(context, asked).await?;
            if found.is_empty() && asked.len() >= DOUBTED {
                return Err(CrawlError::retryable(format!(
                    "the Data API knows none of {} uploads that it listed itself",
                    asked.len()
                )));
            }
            take(asked, found, &mut self.listing);
            self.looked_at = end;
            return Ok(None);
        }
        let mut listing = std::mem::take(&mut self.listing);
        if context.plan.order == Order::Popular {
            listing.videos.sort_by_key(|video| std::cmp::Reverse(video.views.map(|views| views.value)));
            if self.more != More::Nothing {
                listing.truncated_reason =
                    Some(format!("the most popular of the latest {} uploads were taken", self.ids.len()));
            }
        }
        listing.videos.truncate(wanted);
        listing.channel = Some(known.channel.clone());
        Ok(Some(listing))
    }
}

/// Takes the videos that everybody can watch now, and counts the others.
pub(super) fn take(
    asked: &[VideoId],
    found: Vec<ApiVideo>,
    listing: &mut Listing,
) -> Vec<(usize, ChannelId)> {
    let mut found: HashMap<VideoId, ApiVideo> =
        found.into_iter().map(|video| (video.id.clone(), video)).collect();
    let mut channels = Vec::new();
    for id in asked {
        match found.remove(id) {
            None => listing.leave_out("not public"),
            Some(video) if video.broadcast == Broadcast::Live => listing.leave_out("live"),
            Some(video) if video.broadcast == Broadcast::Upcoming => listing.leave_out("not out yet"),
            Some(video) => {
                channels.push((listing.videos.len(), video.channel_id));
                listing.videos.push(Video {
                    title: Some(video.title),
                    views: video.views,
                    published: Some(video.published_at),
                    variants: Some(video.thumbnails),
                    ..Video::named(video.id)
                });
            }
        }
    }
    channels
}

async fn channel(context: SourceContext<'_>, channel: &ChannelRef) -> Result<ApiChannel, CrawlError> {
    let (name, value) = match channel {
        ChannelRef::Id(id) => ("id", id.as_str()),
        ChannelRef::Handle(handle) => ("forHandle", handle.as_str()),
        ChannelRef::Link(link) => match link.rsplit_once("/user/") {
            Some((_, user)) => ("forUsername", user),
            None => {
                return Err(CrawlError::item(
                    FailureReason::Unavailable,
                    format!("the Data API finds no channel by {link}: name it by its @handle or its UC… id"),
                ));
            }
        },
    };
    let query = [("part", CHANNEL_PARTS), (name, value)];
    let found = ask(context, "channels", &query, Endpoint::ApiChannels, api::channels).await?;
    found.into_iter().next().ok_or_else(|| {
        CrawlError::item(FailureReason::Unavailable, format!("the Data API knows no channel {value}"))
    })
}

/// Returns channels by id, as far as they are there.
pub(super) async fn channels(
    context: SourceContext<'_>,
    ids: &[ChannelId],
) -> Result<BTreeMap<ChannelId, Channel>, CrawlError> {
    let ids: Vec<&str> = ids.iter().map(ChannelId::as_str).collect();
    let query = [("part", CHANNEL_PARTS), ("id", &ids.join(",")), ("maxResults", "50")];
    let found = ask(context, "channels", &query, Endpoint::ApiChannels, api::channels).await?;
    let channel =
        |ApiChannel { id, title, subscribers, .. }| (id.clone(), Channel { id, title, subscribers });
    Ok(found.into_iter().map(|found: ApiChannel| channel(found)).collect())
}

async fn uploads(
    context: SourceContext<'_>,
    playlist: &str,
    more: &More,
) -> Result<(Vec<VideoId>, More), CrawlError> {
    let mut query = vec![("part", UPLOADS_PARTS), ("playlistId", playlist), ("maxResults", "50")];
    if let More::After(token) = more {
        query.push(("pageToken", token));
    }
    match ask(context, "playlistItems", &query, Endpoint::ApiUploads, api::uploads_page).await {
        Ok(page) => Ok((page.video_ids, page.next_page_token.map_or(More::Nothing, More::After))),
        // The uploads of a channel that has none are not there.
        Err(CrawlError::Item(failure))
            if failure.reason == FailureReason::Unavailable && *more == More::First =>
        {
            Ok((Vec::new(), More::Nothing))
        }
        Err(stop) => Err(stop),
    }
}

/// Asks about at most 50 videos.
pub(super) async fn details(
    context: SourceContext<'_>,
    ids: &[VideoId],
) -> Result<Vec<ApiVideo>, CrawlError> {
    let ids: Vec<&str> = ids.iter().map(VideoId::as_str).collect();
    let query = [("part", VIDEO_PARTS), ("id", &ids.join(",")), ("maxResults", "50")];
    ask(context, "videos", &query, Endpoint::ApiVideos, api::videos).await
}

async fn ask<T>(
    context: SourceContext<'_>,
    method: &str,
    query: &[(&str, &str)],
    endpoint: Endpoint,
    read: fn(&Value) -> Result<T, SchemaDrift>,
) -> Result<T, CrawlError> {
    let mut url: Url = below(&context.plan.bases.api, &format!("youtube/v3/{method}"))?;
    url.query_pairs_mut().extend_pairs(query);
    let answer = match context.slice.get(HostKind::Api { units: 1 }, &url, None).await {
        Ok(answer) => answer,
        Err(WebError::NotFound(text)) => return Err(CrawlError::item(FailureReason::Unavailable, text)),
        Err(error) => return Err(error.into()),
    };
    let found = api::from_body(answer.status, &answer.bytes);
    match found.and_then(|value| Ok(read(&value)?)) {
        Ok(found) => Ok(found),
        Err(error) => Err(faulty(context, endpoint, &answer, &error).await),
    }
}

async fn faulty(
    context: SourceContext<'_>,
    endpoint: Endpoint,
    answer: &Answer,
    error: &ApiError,
) -> CrawlError {
    match (error.class(), error) {
        (FaultClass::Drift, _) => context.recorder.drifted(endpoint, answer, error).await,
        (FaultClass::Blocked, _) => context.slice.quota_exceeded().await,
        (FaultClass::Transient, _) => CrawlError::retryable(error.to_string()),
        (FaultClass::Permanent, ApiError::NotFound(_)) => {
            CrawlError::item(FailureReason::Unavailable, error.to_string())
        }
        (FaultClass::Permanent, _) => CrawlError::item(FailureReason::Refused, error.to_string()),
    }
}
