//! Lists a channel's videos with YouTube's Data API v3.
//!
//! Each request costs 1 quota unit. The most popular videos are selected from all uploads, because `search.list`
//! costs a hundred times as much and returns incomplete results.

use std::collections::{BTreeMap, HashMap, HashSet};

use common::job::{
    crawl::Order,
    outcome::{FailureReason, ItemFailure},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::{
    context::{SourceContext, join_url},
    paging::Paging,
};
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
    #[serde(default)]
    paging: Paging,
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

impl NextPage {
    fn token(&self) -> Option<&str> {
        match self {
            Self::Token(token) => Some(token),
            Self::First | Self::End => None,
        }
    }
}

/// The answer to a request for a page of uploads.
enum UploadsAnswer {
    Page(Vec<VideoId>, NextPage),
    /// The API refuses the token of the page.
    InvalidToken,
}

impl ApiDraft {
    pub(super) fn new(channel: ChannelRef) -> Self {
        Self {
            channel,
            known: None,
            ids: Vec::new(),
            next_page: NextPage::First,
            paging: Paging::default(),
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
            let uploads_id = known.uploads.clone();
            self.list_page(context, &uploads_id).await?;
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

    /// Reads a page of uploads. A listing whose pages do not end is truncated. If the API refuses a page token, the
    /// listing begins once more with the first page; the uploads that it has stay.
    async fn list_page(&mut self, context: SourceContext<'_>, playlist: &str) -> Result<(), CrawlError> {
        let token = self.next_page.token().map(str::to_owned);
        if let Err(why) = self.paging.admit(token.as_deref()) {
            self.truncate(why);
            return Ok(());
        }
        match uploads(context, playlist, &self.next_page).await? {
            UploadsAnswer::Page(ids, next_page) => {
                // An upload published in the meantime moves others to the next page, where they appear again.
                let known: HashSet<&VideoId> = self.ids.iter().collect();
                let new: Vec<VideoId> = ids.into_iter().filter(|id| !known.contains(id)).collect();
                self.paging.count(token.as_deref(), !new.is_empty());
                self.ids.extend(new);
                self.next_page = next_page;
            }
            UploadsAnswer::InvalidToken if self.paging.restart() => self.next_page = NextPage::First,
            UploadsAnswer::InvalidToken => self.truncate("the site refuses its own page tokens"),
        }
        Ok(())
    }

    /// Ends the list of uploads.
    fn truncate(&mut self, why: &str) {
        self.next_page = NextPage::End;
        self.listing.truncated_reason = Some(format!("{why} after {} uploads", self.ids.len()));
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
) -> Result<UploadsAnswer, CrawlError> {
    let mut query = vec![("part", UPLOADS_PARTS), ("playlistId", playlist), ("maxResults", "50")];
    query.extend(next_page.token().map(|token| ("pageToken", token)));
    let (response, page) = match send(context, "playlistItems", &query, api::uploads_page).await {
        // A channel without uploads has no uploads playlist.
        Err(CrawlError::Item(failure)) if is_missing_playlist(&failure, next_page) => {
            return Ok(UploadsAnswer::Page(Vec::new(), NextPage::End));
        }
        answer => answer?,
    };
    match page {
        Ok(page) => {
            let next_page = page.next_page_token.map_or(NextPage::End, NextPage::Token);
            Ok(UploadsAnswer::Page(page.video_ids, next_page))
        }
        Err(ApiError::InvalidPageToken(_)) if next_page.token().is_some() => Ok(UploadsAnswer::InvalidToken),
        Err(error) => match to_crawl_error(context, Endpoint::ApiUploads, &response, &error).await {
            CrawlError::Item(failure) if is_missing_playlist(&failure, next_page) => {
                Ok(UploadsAnswer::Page(Vec::new(), NextPage::End))
            }
            error => Err(error),
        },
    }
}

fn is_missing_playlist(failure: &ItemFailure, next_page: &NextPage) -> bool {
    failure.reason == FailureReason::Unavailable && *next_page == NextPage::First
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
    let (response, found) = send(context, method, query, read).await?;
    match found {
        Ok(found) => Ok(found),
        Err(error) => Err(to_crawl_error(context, endpoint, &response, &error).await),
    }
}

/// Sends a request, and reads the body of the response or its error.
async fn send<T>(
    context: SourceContext<'_>,
    method: &str,
    query: &[(&str, &str)],
    read: fn(&Value) -> Result<T, SchemaDrift>,
) -> Result<(Response, Result<T, ApiError>), CrawlError> {
    let mut url: Url = join_url(&context.plan.bases.api, &format!("youtube/v3/{method}"))?;
    url.query_pairs_mut().extend_pairs(query);
    let response = match context.slice.get(HostKind::Api { units: 1 }, &url, None).await {
        Ok(response) => response,
        Err(WebError::NotFound(text)) => return Err(CrawlError::item(FailureReason::Unavailable, text)),
        Err(error) => return Err(error.into()),
    };
    let found = api::from_body(response.status, &response.bytes);
    let found = found.and_then(|value| Ok(read(&value)?));
    Ok((response, found))
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
