//! A channel by the page of its videos, and what the page asks for when one scrolls down.
//!
//! Owns which pages are asked for, and only where whoever asks wants that. The page itself may be read by
//! robots; what follows it is had from `/youtubei/`, which YouTube's `robots.txt` disallows: there the listing
//! ends, and says so.

use std::collections::BTreeSet;

use common::job::{crawl::Order, outcome::FailureReason};
use serde::{Deserialize, Serialize};
use url::Url;

use super::context::{SourceContext, below};
use crate::{
    error::CrawlError,
    http::{Answer, HostKind, WebError},
    listing::{Channel, Listing, Video},
    recorded_response::Endpoint,
    youtube::{
        answer,
        channel::{self, VideoPage},
        counts::Count,
        faults::SchemaDrift,
        ids::ChannelRef,
        items::{VideoItem, VideoKind},
        order::is_nearly_sorted,
        request,
    },
};

/// Videos looked at where the most popular ones have to be found among all.
const MOST_VIDEOS: usize = 500;
/// The version of the client that is named where the page does not say its own.
const CLIENT_VERSION: &str = "2.20260501.00.00";

/// A channel's listing, as far as it is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct PageDraft {
    channel: ChannelRef,
    /// Nothing before the first page.
    known: Option<Channel>,
    client_version: String,
    /// Whether the site was asked for the most popular ones first.
    is_popular: bool,
    /// What asks for more.
    more: Option<String>,
    /// What asked for more before.
    seen: BTreeSet<String>,
    /// Whether an answer was kept for what could not be read in it.
    kept: bool,
    listing: Listing,
}

impl PageDraft {
    pub(super) fn of(channel: ChannelRef) -> Self {
        Self {
            channel,
            known: None,
            client_version: CLIENT_VERSION.to_owned(),
            is_popular: false,
            more: None,
            seen: BTreeSet::new(),
            kept: false,
            listing: Listing::default(),
        }
    }

    /// Makes one request. Returns the listing once nothing is left to ask.
    pub(super) async fn step(&mut self, context: SourceContext<'_>) -> Result<Option<Listing>, CrawlError> {
        let wanted = context.plan.videos_per_channel as usize;
        let Some(known) = &self.known else {
            self.first(context).await?;
            return Ok(None);
        };
        let sorts = context.plan.order == Order::Popular && !self.is_popular;
        let enough = if sorts { MOST_VIDEOS } else { wanted };
        if self.listing.videos.len() < enough
            && let Some(token) = self.more.take_if(|token| !self.seen.contains(token))
        {
            let asked = self.more_videos(context, &token).await;
            if asked.is_err() {
                self.more = Some(token);
            } else {
                self.seen.insert(token);
            }
            return asked.map(|()| None);
        }
        if self.listing.videos.len() < enough && self.more.is_some() {
            let listed = self.listing.videos.len();
            self.listing.truncated_reason =
                Some(format!("the site's list leads back to itself after {listed} videos"));
        }
        let channel = Some(known.clone());
        let mut listing = Listing { channel, ..std::mem::take(&mut self.listing) };
        if sorts {
            listing.videos.sort_by_key(|video| std::cmp::Reverse(video.views.map(|views| views.value)));
            if self.more.is_some() {
                let looked_at = listing.videos.len();
                listing.truncated_reason =
                    Some(format!("the most popular of the latest {looked_at} videos were taken"));
            }
        }
        listing.videos.truncate(wanted);
        Ok(Some(listing))
    }

    async fn first(&mut self, context: SourceContext<'_>) -> Result<(), CrawlError> {
        let url = videos_url(context, &self.channel)?;
        let answer = context.slice.get(HostKind::Web, &url, None).await?;
        let page = answer::from_page(answer.status, &answer.bytes);
        let first = page.and_then(|page| channel::first_page(&page));
        let first = match first {
            Ok(first) => first,
            Err(fault) => return Err(context.faulty(Endpoint::ChannelPage, &answer, &fault).await),
        };
        if let Some(words) = first.empty {
            return Err(CrawlError::item(FailureReason::Unavailable, format!("it has no videos: {words}")));
        }
        if let Some(version) = client_version(&String::from_utf8_lossy(&answer.bytes)) {
            self.client_version = version.to_owned();
        }
        match (context.plan.order, first.orders.popular) {
            (Order::Popular, Some(token)) => {
                self.is_popular = true;
                self.more = Some(token);
            }
            (Order::Newest | Order::Popular, _) => {
                self.take(context, Endpoint::ChannelPage, &answer, first.page).await;
            }
        }
        let channel::Channel { id, title, subscribers, .. } = first.channel;
        self.known = Some(Channel { id, title, subscribers });
        Ok(())
    }

    async fn more_videos(&mut self, context: SourceContext<'_>, token: &str) -> Result<(), CrawlError> {
        let url = below(&context.plan.bases.web, request::BROWSE_PATH)?;
        let body = request::continuation(token, &self.client_version);
        let answer = match context.slice.post_json(HostKind::Web, &url, &body).await {
            Ok(answer) => answer,
            Err(WebError::Refused(why)) if self.is_popular => {
                return Err(CrawlError::item(
                    FailureReason::Refused,
                    format!(
                        "{why}; the page alone has the newest videos: use --order newest, or the source api"
                    ),
                ));
            }
            Err(WebError::Refused(why)) => {
                self.listing.truncated_reason = Some(why);
                self.more = None;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let page = answer::from_body(answer.status, &answer.bytes).and_then(|more| channel::next_page(&more));
        let page = match page {
            Ok(page) => page,
            Err(fault) => return Err(context.faulty(Endpoint::MoreVideos, &answer, &fault).await),
        };
        let is_first = self.is_popular && self.listing.videos.is_empty();
        if is_first && let Some(drift) = other_order(&page.items) {
            return Err(context.recorder.drifted(Endpoint::MoreVideos, &answer, &drift).await);
        }
        self.take(context, Endpoint::MoreVideos, &answer, page).await;
        Ok(())
    }

    async fn take(
        &mut self,
        context: SourceContext<'_>,
        endpoint: Endpoint,
        answer: &Answer,
        page: VideoPage,
    ) {
        if let Some(drift) = page.unread.first()
            && !std::mem::replace(&mut self.kept, true)
        {
            context.recorder.keep(endpoint, answer, drift).await;
        }
        for _ in &page.unread {
            self.listing.leave_out("not readable");
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
                VideoKind::Upcoming => "not out yet",
                VideoKind::MembersOnly => "members only",
                VideoKind::Premium => "premium",
            };
            self.listing.leave_out(reason);
        }
        self.more = page.continuation;
    }
}

fn video(item: VideoItem) -> Video {
    Video {
        title: Some(item.title),
        views: item.views,
        published_text: item.published,
        ..Video::named(item.video_id)
    }
}

/// What is wrong where the most popular videos were asked for and others came.
fn other_order(items: &[VideoItem]) -> Option<SchemaDrift> {
    let views: Vec<Count> = items.iter().filter_map(|item| item.views).collect();
    let problem = if items.is_empty() {
        "the most popular videos were asked for, and none came"
    } else if is_nearly_sorted(&views) {
        return None;
    } else {
        "the most popular videos were asked for, and they came in another order"
    };
    Some(SchemaDrift::new("continuationItems", problem))
}

fn videos_url(context: SourceContext<'_>, channel: &ChannelRef) -> Result<Url, CrawlError> {
    let at_youtube = Url::parse(&channel.url()).map_err(|error| {
        CrawlError::item(FailureReason::InvalidRow, format!("{} is no link: {error}", channel.url()))
    })?;
    let mut url = below(&context.plan.bases.web, &format!("{}/videos", at_youtube.path()))?;
    url.query_pairs_mut().extend_pairs([("hl", "en"), ("gl", "US")]);
    Ok(url)
}

/// The version of the client that a page names as its own.
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
    fn the_version_of_the_client_is_what_the_page_says() {
        let page =
            |version: &str| format!(r#"<script>ytcfg.set({{"INNERTUBE_CLIENT_VERSION":"{version}"}})"#);
        assert_eq!(client_version(&page("2.20260722.01.00")), Some("2.20260722.01.00"));
        assert_eq!(client_version(&page("2.2</script>")), None);
        assert_eq!(client_version("<html>"), None);
    }

    #[test]
    fn another_order_than_the_one_asked_for_is_noticed() {
        let item = |views: u64| VideoItem {
            video_id: format!("video{views:06}").parse().unwrap(),
            title: String::new(),
            views: Some(Count::exact(views)),
            published: None,
            kind: VideoKind::Ordinary,
        };
        assert_eq!(other_order(&[item(900), item(500), item(1)]), None);
        assert!(other_order(&[item(1), item(500), item(900)]).is_some());
        assert!(other_order(&[]).is_some());
    }
}
