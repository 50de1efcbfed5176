//! Lists a channel's videos from its Videos page, and from the continuations that load when scrolling.
//!
//! Used only with `--read-pages`. YouTube's `robots.txt` allows the page but disallows the continuations under
//! `/youtubei/`: there the listing ends with a truncation reason.

use std::collections::BTreeSet;

use common::job::{crawl::Order, outcome::FailureReason};
use serde::{Deserialize, Serialize};
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
        channel::{self, VideoPage},
        counts::Count,
        faults::SchemaDrift,
        ids::{ChannelRef, VideoId},
        items::{VideoItem, VideoKind},
        order::is_nearly_sorted,
        request, response,
    },
};

/// Videos considered for the most popular ones if the site cannot sort them.
const MAX_VIDEOS: usize = 500;
/// Client version of requests if the page does not contain one.
const CLIENT_VERSION: &str = "2.20260501.00.00";

/// Progress of a channel's listing.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct PageDraft {
    channel: ChannelRef,
    /// `None` before the first page.
    known: Option<Channel>,
    client_version: String,
    /// Whether the site sorts the videos by popularity.
    is_popular: bool,
    /// Continuation token.
    next_page: Option<String>,
    #[serde(default)]
    paging: Paging,
    /// Videos that are not taken, each counted once.
    #[serde(default)]
    skipped_ids: BTreeSet<VideoId>,
    /// Whether a response with unreadable items has been recorded; one per channel is enough.
    recorded: bool,
    listing: Listing,
}

impl PageDraft {
    pub(super) fn new(channel: ChannelRef) -> Self {
        Self {
            channel,
            known: None,
            client_version: CLIENT_VERSION.to_owned(),
            is_popular: false,
            next_page: None,
            paging: Paging::default(),
            skipped_ids: BTreeSet::new(),
            recorded: false,
            listing: Listing::default(),
        }
    }

    /// Makes one request. Returns the listing when it is complete.
    pub(super) async fn step(&mut self, context: SourceContext<'_>) -> Result<Option<Listing>, CrawlError> {
        let wanted = context.plan.videos_per_channel as usize;
        let Some(known) = &self.known else {
            self.fetch_first(context).await?;
            return Ok(None);
        };
        let sort_here = context.plan.order == Order::Popular && !self.is_popular;
        let target = if sort_here { MAX_VIDEOS } else { wanted };
        if self.listing.videos.len() < target
            && let Some(token) = self.next_page.clone()
        {
            match self.paging.admit(Some(&token)) {
                Ok(()) => {
                    let before = self.seen_videos();
                    self.fetch_more(context, &token).await?;
                    let has_news = self.seen_videos() > before;
                    self.paging.count(Some(&token), has_news);
                    return Ok(None);
                }
                Err(why) => {
                    let listed = self.listing.videos.len();
                    self.listing.truncated_reason = Some(format!("{why} after {listed} videos"));
                }
            }
        }
        let channel = Some(known.clone());
        let mut listing = Listing { channel, ..std::mem::take(&mut self.listing) };
        if sort_here {
            listing.videos.sort_by_key(|video| std::cmp::Reverse(video.views.map(|views| views.value)));
            if self.next_page.is_some() && listing.truncated_reason.is_none() {
                let checked = listing.videos.len();
                listing.truncated_reason = Some(format!("only the latest {checked} videos were considered"));
            }
        }
        listing.videos.truncate(wanted);
        Ok(Some(listing))
    }

    /// Number of distinct videos so far, also of those that are not taken.
    fn seen_videos(&self) -> usize {
        self.listing.videos.len() + self.skipped_ids.len()
    }

    async fn fetch_first(&mut self, context: SourceContext<'_>) -> Result<(), CrawlError> {
        let url = videos_url(context, &self.channel)?;
        let response = context.slice.get(HostKind::Web, &url, None).await?;
        let page = response::from_page(response.status, &response.bytes);
        let first = page.and_then(|page| channel::first_page(&page));
        let first = match first {
            Ok(first) => first,
            Err(fault) => return Err(context.to_crawl_error(Endpoint::ChannelPage, &response, &fault).await),
        };
        if let Some(message) = first.empty {
            return Err(CrawlError::item(
                FailureReason::Unavailable,
                format!("the channel has no videos: {message}"),
            ));
        }
        if let Some(version) = client_version(&String::from_utf8_lossy(&response.bytes)) {
            self.client_version = version.to_owned();
        }
        match (context.plan.order, first.orders.popular) {
            (Order::Popular, Some(token)) => {
                self.is_popular = true;
                self.next_page = Some(token);
            }
            (Order::Newest | Order::Popular, _) => {
                self.take(context, Endpoint::ChannelPage, &response, first.page).await;
            }
        }
        let channel::Channel { id, title, subscribers, .. } = first.channel;
        self.known = Some(Channel { id, title, subscribers });
        Ok(())
    }

    async fn fetch_more(&mut self, context: SourceContext<'_>, token: &str) -> Result<(), CrawlError> {
        let url = join_url(&context.plan.bases.web, request::BROWSE_PATH)?;
        let body = request::continuation(token, &self.client_version);
        let response = match context.slice.post_json(HostKind::Web, &url, &body).await {
            Ok(response) => response,
            Err(WebError::Refused(why)) if self.is_popular => {
                return Err(CrawlError::item(
                    FailureReason::Refused,
                    format!("{why}; use --order newest or --source api"),
                ));
            }
            Err(WebError::Refused(why)) => {
                self.listing.truncated_reason = Some(why);
                self.next_page = None;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let page =
            response::from_body(response.status, &response.bytes).and_then(|more| channel::next_page(&more));
        let page = match page {
            Ok(page) => page,
            Err(fault) => return Err(context.to_crawl_error(Endpoint::MoreVideos, &response, &fault).await),
        };
        let is_first = self.is_popular && self.listing.videos.is_empty();
        if is_first && let Some(drift) = wrong_order(&page.items) {
            return Err(context.recorder.record_drift(Endpoint::MoreVideos, &response, &drift).await);
        }
        self.take(context, Endpoint::MoreVideos, &response, page).await;
        Ok(())
    }

    async fn take(
        &mut self,
        context: SourceContext<'_>,
        endpoint: Endpoint,
        response: &Response,
        page: VideoPage,
    ) {
        if let Some(drift) = page.unread.first()
            && !std::mem::replace(&mut self.recorded, true)
        {
            context.recorder.record(endpoint, response, drift).await;
        }
        for _ in &page.unread {
            self.listing.skip("unreadable");
        }
        for item in page.items {
            let reason = match item.kind {
                VideoKind::Ordinary => {
                    let is_known = self.listing.videos.iter().any(|video| video.id == item.video_id);
                    if !is_known {
                        self.listing.videos.push(video(item));
                    }
                    continue;
                }
                VideoKind::Live => "live",
                VideoKind::Upcoming => "upcoming",
                VideoKind::MembersOnly => "members only",
                VideoKind::Premium => "premium",
            };
            if self.skipped_ids.insert(item.video_id) {
                self.listing.skip(reason);
            }
        }
        self.next_page = page.continuation;
    }
}

fn video(item: VideoItem) -> Video {
    Video {
        title: Some(item.title),
        views: item.views,
        published_text: item.published,
        ..Video::with_id(item.video_id)
    }
}

/// Checks the order of a response to a request for the most popular videos.
fn wrong_order(items: &[VideoItem]) -> Option<SchemaDrift> {
    let views: Vec<Count> = items.iter().filter_map(|item| item.views).collect();
    let problem = if items.is_empty() {
        "no videos for the order Popular"
    } else if is_nearly_sorted(&views) {
        return None;
    } else {
        "the videos are not in the requested order Popular"
    };
    Some(SchemaDrift::new("continuationItems", problem))
}

fn videos_url(context: SourceContext<'_>, channel: &ChannelRef) -> Result<Url, CrawlError> {
    let at_youtube = Url::parse(&channel.url()).map_err(|error| {
        CrawlError::item(FailureReason::InvalidRow, format!("{} is not a valid URL: {error}", channel.url()))
    })?;
    let mut url = join_url(&context.plan.bases.web, &format!("{}/videos", at_youtube.path()))?;
    url.query_pairs_mut().extend_pairs([("hl", "en"), ("gl", "US")]);
    Ok(url)
}

/// Finds the client version in a page.
fn client_version(html: &str) -> Option<&str> {
    let (_, rest) = html.split_once(r#""INNERTUBE_CLIENT_VERSION":""#)?;
    let (version, _) = rest.split_once('"')?;
    let is_version = (1..=40).contains(&version.len())
        && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_version.then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_version_is_taken_from_the_page() {
        let page =
            |version: &str| format!(r#"<script>ytcfg.set({{"INNERTUBE_CLIENT_VERSION":"{version}"}})"#);
        assert_eq!(client_version(&page("2.20260722.01.00")), Some("2.20260722.01.00"));
        assert_eq!(client_version(&page("2.2</script>")), None);
        assert_eq!(client_version("<html>"), None);
    }

    #[test]
    fn response_in_the_wrong_order_is_detected() {
        let item = |views: u64| VideoItem {
            video_id: format!("video{views:06}").parse().unwrap(),
            title: String::new(),
            views: Some(Count::exact(views)),
            published: None,
            kind: VideoKind::Ordinary,
        };
        assert_eq!(wrong_order(&[item(900), item(500), item(1)]), None);
        assert!(wrong_order(&[item(1), item(500), item(900)]).is_some());
        assert!(wrong_order(&[]).is_some());
    }
}
