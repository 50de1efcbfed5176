//! Lists a channel's videos with YouTube's Data API v3.
//!
//! Each request costs 1 quota unit. The most popular videos are selected from all uploads, because `search.list`
//! costs a hundred times as much and returns incomplete results.

use std::collections::{BTreeMap, HashMap};

use common::job::{crawl::Order, outcome::FailureReason};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::context::{SourceContext, join_url};
use crate::{
    error::CrawlError,
    http::{HostKind, Response, WebError},
    listing::{Channel, Listing, Video},
    recorded_response::Endpoint,
    youtube::{
        api::{
            self, ApiChannel, ApiError, ApiVideo, Broadcast, CHANNEL_PARTS, MAX_ITEMS, UPLOADS_PARTS,
            VIDEO_PARTS,
        },
        faults::{FaultClass, SchemaDrift},
        ids::{ChannelId, ChannelRef, VideoId},
    },
};

/// Uploads considered for the most popular ones, the latest first.
const MAX_UPLOADS: usize = 5_000;
/// If this many listed uploads are all missing from `videos.list`, the response is an error of the API.
const MIN_DOUBTED_UPLOADS: usize = 5;

/// Progress of a channel's listing.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct ApiDraft {
    channel: ChannelRef,
    known: Option<ResolvedChannel>,
    /// Uploads, the latest first.
    ids: Vec<VideoId>,
    next_page: NextPage,
    /// Number of `ids` whose details have been requested.
    checked: usize,
    listing: Listing,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct ResolvedChannel {
    channel: Channel,
    /// ID of the uploads playlist.
    uploads: String,
}

/// The page of uploads to request next.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum NextPage {
    First,
    Token(String),
    End,
}

impl ApiDraft {
    pub(super) fn new(channel: ChannelRef) -> Self {
        Self {
            channel,
            known: None,
            ids: Vec::new(),
            next_page: NextPage::First,
            checked: 0,
            listing: Listing::default(),
        }
    }

    /// Makes one request. Returns the listing when it is complete.
    pub(super) async fn step(&mut self, context: SourceContext<'_>) -> Result<Option<Listing>, CrawlError> {
        let Some(known) = &self.known else {
            let found = channel(context, &self.channel).await?;
            let ApiChannel { id, title, subscribers, uploads, .. } = found;
            self.known = Some(ResolvedChannel { channel: Channel { id, title, subscribers }, uploads });
            return Ok(None);
        };
        let wanted = context.plan.videos_per_channel as usize;
        let all_checked = self.checked == self.ids.len();
        let wants_more = match context.plan.order {
            Order::Newest => all_checked && self.listing.videos.len() < wanted,
            Order::Popular => self.ids.len() < MAX_UPLOADS,
        };
        if wants_more && self.next_page != NextPage::End {
            let (ids, next_page) = uploads(context, &known.uploads, &self.next_page).await?;
            // An upload published in the meantime moves others to the next page, where they appear again.
            let new: Vec<VideoId> = ids.into_iter().filter(|id| !self.ids.contains(id)).collect();
            self.ids.extend(new);
            self.next_page = next_page;
            return Ok(None);
        }
        if !all_checked {
            let end = self.ids.len().min(self.checked + MAX_ITEMS);
            let requested = &self.ids[self.checked..end];
            let found = details(context, requested).await?;
            if found.is_empty() && requested.len() >= MIN_DOUBTED_UPLOADS {
                return Err(CrawlError::retryable(format!(
                    "the Data API returned none of the {} uploads that it had listed",
                    requested.len()
                )));
            }
            take_public(requested, found, &mut self.listing);
            self.checked = end;
            return Ok(None);
        }
        let mut listing = std::mem::take(&mut self.listing);
        if context.plan.order == Order::Popular {
            listing.videos.sort_by_key(|video| std::cmp::Reverse(video.views.map(|views| views.value)));
            if self.next_page != NextPage::End {
                listing.truncated_reason =
                    Some(format!("only the latest {} uploads were considered", self.ids.len()));
            }
        }
        listing.videos.truncate(wanted);
        listing.channel = Some(known.channel.clone());
        Ok(Some(listing))
    }
}

/// Adds the public videos to `listing`, and counts the others as skipped. Returns each added video's index and
/// channel.
pub(super) fn take_public(
    requested: &[VideoId],
    found: Vec<ApiVideo>,
    listing: &mut Listing,
) -> Vec<(usize, ChannelId)> {
    let mut found: HashMap<VideoId, ApiVideo> =
        found.into_iter().map(|video| (video.id.clone(), video)).collect();
    let mut channels = Vec::new();
    for id in requested {
        match found.remove(id) {
            None => listing.skip("not public"),
            Some(video) if video.broadcast == Broadcast::Live => listing.skip("live"),
            Some(video) if video.broadcast == Broadcast::Upcoming => listing.skip("upcoming"),
            Some(video) => {
                channels.push((listing.videos.len(), video.channel_id));
                listing.videos.push(Video {
                    title: Some(video.title),
                    views: video.views,
                    published: Some(video.published_at),
                    variants: Some(video.thumbnails),
                    ..Video::with_id(video.id)
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
                    format!("the Data API cannot look up {link}: use the channel's @handle or UC… ID"),
                ));
            }
        },
    };
    let query = [("part", CHANNEL_PARTS), (name, value)];
    let found = request(context, "channels", &query, Endpoint::ApiChannels, api::channels).await?;
    found.into_iter().next().ok_or_else(|| {
        CrawlError::item(
            FailureReason::Unavailable,
            format!("channel {value} does not exist in the Data API"),
        )
    })
}

/// Returns channels by ID, without those that do not exist.
pub(super) async fn channels(
    context: SourceContext<'_>,
    ids: &[ChannelId],
) -> Result<BTreeMap<ChannelId, Channel>, CrawlError> {
    let ids: Vec<&str> = ids.iter().map(ChannelId::as_str).collect();
    let query = [("part", CHANNEL_PARTS), ("id", &ids.join(",")), ("maxResults", "50")];
    let found = request(context, "channels", &query, Endpoint::ApiChannels, api::channels).await?;
    let channel =
        |ApiChannel { id, title, subscribers, .. }| (id.clone(), Channel { id, title, subscribers });
    Ok(found.into_iter().map(|found: ApiChannel| channel(found)).collect())
}

async fn uploads(
    context: SourceContext<'_>,
    playlist: &str,
    next_page: &NextPage,
) -> Result<(Vec<VideoId>, NextPage), CrawlError> {
    let mut query = vec![("part", UPLOADS_PARTS), ("playlistId", playlist), ("maxResults", "50")];
    if let NextPage::Token(token) = next_page {
        query.push(("pageToken", token));
    }
    match request(context, "playlistItems", &query, Endpoint::ApiUploads, api::uploads_page).await {
        Ok(page) => Ok((page.video_ids, page.next_page_token.map_or(NextPage::End, NextPage::Token))),
        // A channel without uploads has no uploads playlist.
        Err(CrawlError::Item(failure))
            if failure.reason == FailureReason::Unavailable && *next_page == NextPage::First =>
        {
            Ok((Vec::new(), NextPage::End))
        }
        Err(error) => Err(error),
    }
}

/// Requests at most 50 videos.
pub(super) async fn details(
    context: SourceContext<'_>,
    ids: &[VideoId],
) -> Result<Vec<ApiVideo>, CrawlError> {
    let ids: Vec<&str> = ids.iter().map(VideoId::as_str).collect();
    let query = [("part", VIDEO_PARTS), ("id", &ids.join(",")), ("maxResults", "50")];
    request(context, "videos", &query, Endpoint::ApiVideos, api::videos).await
}

async fn request<T>(
    context: SourceContext<'_>,
    method: &str,
    query: &[(&str, &str)],
    endpoint: Endpoint,
    read: fn(&Value) -> Result<T, SchemaDrift>,
) -> Result<T, CrawlError> {
    let mut url: Url = join_url(&context.plan.bases.api, &format!("youtube/v3/{method}"))?;
    url.query_pairs_mut().extend_pairs(query);
    let response = match context.slice.get(HostKind::Api { units: 1 }, &url, None).await {
        Ok(response) => response,
        Err(WebError::NotFound(text)) => return Err(CrawlError::item(FailureReason::Unavailable, text)),
        Err(error) => return Err(error.into()),
    };
    let found = api::from_body(response.status, &response.bytes);
    match found.and_then(|value| Ok(read(&value)?)) {
        Ok(found) => Ok(found),
        Err(error) => Err(to_crawl_error(context, endpoint, &response, &error).await),
    }
}

async fn to_crawl_error(
    context: SourceContext<'_>,
    endpoint: Endpoint,
    response: &Response,
    error: &ApiError,
) -> CrawlError {
    match (error.class(), error) {
        (FaultClass::Drift, _) => context.recorder.record_drift(endpoint, response, error).await,
        (FaultClass::Blocked, _) => context.slice.mark_quota_exceeded().await,
        (FaultClass::Transient, _) => CrawlError::retryable(error.to_string()),
        (FaultClass::Permanent, ApiError::NotFound(_)) => {
            CrawlError::item(FailureReason::Unavailable, error.to_string())
        }
        (FaultClass::Permanent, _) => CrawlError::item(FailureReason::Refused, error.to_string()),
    }
}
