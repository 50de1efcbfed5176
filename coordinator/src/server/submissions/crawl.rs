//! Crawl submissions: checks a request, and makes its items.
//!
//! The check is a function of the request and of the hosts that the operator allows. Workers check at each connection
//! that the host's address is public. Invariant: what a crawl reads, and writes to datasets, comes from YouTube, or
//! from hosts that the operator allows. The Data API key is sent to no others.

use std::collections::HashSet;

use common::job::crawl::{Bases, CrawlItem, CrawlPlan, CrawlTarget, MAX_VIDEOS, Source};
use crawler::youtube::ids::{ChannelRef, Reference};
use dataset::manifest::MAX_NAME_BYTES;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::api::{CrawlChannel, CrawlRequest};

const MAX_CHANNELS: usize = 10_000;
const MAX_VIDEO_LIST: usize = 50_000;
/// Videos per job of the source `list`: the maximum of one Data API call.
const SLICE: usize = 50;
const MAX_CATEGORY_LENGTH: usize = 100;

/// The stored request of a crawl submission.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct CrawlSpec {
    /// The dataset to write.
    pub(crate) out: Url,
    pub(crate) plan: CrawlPlan,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) channels: Vec<ChannelSpec>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) videos: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) category: Option<String>,
}

/// A channel to crawl, and the category of its rows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChannelSpec {
    pub(crate) channel: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) category: Option<String>,
}

impl From<CrawlChannel> for ChannelSpec {
    fn from(channel: CrawlChannel) -> Self {
        let CrawlChannel { channel, category } = channel;
        Self { channel, category }
    }
}

impl CrawlSpec {
    /// Items per manifest part, and so per job.
    pub(super) const PART_ITEMS: u32 = 1;

    /// Checks a request, whose `out` is already resolved. Errors are for the caller.
    pub(crate) fn read(request: CrawlRequest, out: Url, allowed_hosts: &str) -> Result<Self, String> {
        let CrawlRequest { source, order, videos_per_channel, read_pages, .. } = request;
        if !(1..=MAX_VIDEOS).contains(&videos_per_channel) {
            return Err(format!(
                "videos_per_channel is {videos_per_channel}: it must be between 1 and {MAX_VIDEOS}"
            ));
        }
        if source == Source::Page && !read_pages {
            return Err(
                "the source 'page' reads the site's HTML pages, which its terms may forbid for automated \
                 clients: set `read_pages: true` (--read-pages) if you are permitted to"
                    .to_owned(),
            );
        }
        let has_videos = source == Source::List;
        if has_videos != request.channels.is_empty() || has_videos == request.videos.is_empty() {
            return Err("give channels for the sources 'api' and 'page', and videos for 'list'".to_owned());
        }
        if request.channels.len() > MAX_CHANNELS {
            return Err(format!("{} channels exceed the limit of {MAX_CHANNELS}", request.channels.len()));
        }
        if request.videos.len() > MAX_VIDEO_LIST {
            return Err(format!("{} videos exceed the limit of {MAX_VIDEO_LIST}", request.videos.len()));
        }
        check_channels(&request.channels)?;
        if let Some(category) = &request.category {
            check_category(category)?;
        }
        let defaults = Bases::default();
        let bases = Bases {
            api: base("api_base", request.api_base, &defaults.api)?,
            web: base("web_base", request.web_base, &defaults.web)?,
            image: base("image_base", request.image_base, &defaults.image)?,
        };
        for (name, base, default) in [
            ("api_base", &bases.api, &defaults.api),
            ("web_base", &bases.web, &defaults.web),
            ("image_base", &bases.image, &defaults.image),
        ] {
            let host = base.host_str().unwrap_or_default();
            let mut allowed = allowed_hosts.split(',').map(str::trim);
            if base != default && !allowed.any(|allowed| allowed.eq_ignore_ascii_case(host)) {
                return Err(format!(
                    "{name} is {base}: crawls read only {} and the hosts in SUBWATCH_FETCH_ALLOW of the coordinator",
                    default.host_str().unwrap_or_default()
                ));
            }
        }
        Ok(Self {
            out,
            plan: CrawlPlan { source, order, videos_per_channel, page_reading: read_pages, bases },
            channels: request.channels.into_iter().map(ChannelSpec::from).collect(),
            videos: read_videos(&request.videos)?,
            category: request.category,
        })
    }

    /// Returns the items: one per channel, or one per slice of the video list.
    pub(super) fn items(&self) -> impl Iterator<Item = CrawlItem> {
        let channels = self.channels.iter().map(|ChannelSpec { channel, category }| CrawlItem {
            item: channel.clone(),
            bytes: 0,
            category: category.clone(),
            target: CrawlTarget::Channel(channel.clone()),
        });
        let slices = self.videos.chunks(SLICE).map(|videos| CrawlItem {
            item: slice_name(videos),
            bytes: 0,
            category: self.category.clone(),
            target: CrawlTarget::Videos(videos.to_vec()),
        });
        channels.chain(slices)
    }
}

fn slice_name(videos: &[String]) -> String {
    match videos {
        [first, .., last] => format!("{} videos, {first} to {last}", videos.len()),
        _ => videos.concat(),
    }
}

fn check_channels(channels: &[CrawlChannel]) -> Result<(), String> {
    let mut seen = HashSet::new();
    for CrawlChannel { channel, category } in channels {
        if channel.len() > MAX_NAME_BYTES {
            let bytes = channel.len();
            return Err(format!("channels: one has {bytes} bytes, over the limit of {MAX_NAME_BYTES}"));
        }
        let reference: ChannelRef = channel.parse().map_err(|error| format!("channels: {error}"))?;
        if !seen.insert(reference.url()) {
            return Err(format!("channels: '{channel}' is a duplicate"));
        }
        if let Some(category) = category {
            check_category(category)?;
        }
    }
    Ok(())
}

fn check_category(category: &str) -> Result<(), String> {
    let is_valid = !category.trim().is_empty()
        && category.chars().count() <= MAX_CATEGORY_LENGTH
        && !category.contains(char::is_control);
    if is_valid {
        Ok(())
    } else {
        Err(format!(
            "category '{category}' is invalid: it must have 1 to {MAX_CATEGORY_LENGTH} characters, not \
             only spaces, and no control characters"
        ))
    }
}

/// Parses video IDs and URLs, and drops duplicates.
fn read_videos(videos: &[String]) -> Result<Vec<String>, String> {
    let mut seen = HashSet::new();
    let mut ids = Vec::with_capacity(videos.len());
    for video in videos {
        let reference: Reference = video.parse().map_err(|error| format!("videos: {error}"))?;
        let id = reference.video().map_err(|error| format!("videos: {error}"))?.to_string();
        if seen.insert(id.clone()) {
            ids.push(id);
        }
    }
    Ok(ids)
}

fn base(name: &str, base: Option<Url>, default: &Url) -> Result<Url, String> {
    let Some(mut base) = base else { return Ok(default.clone()) };
    if base.as_str().len() > MAX_NAME_BYTES {
        let bytes = base.as_str().len();
        return Err(format!("{name} has {bytes} bytes, over the limit of {MAX_NAME_BYTES}"));
    }
    let is_plain = ["http", "https"].contains(&base.scheme())
        && base.username().is_empty()
        && base.password().is_none()
        && base.query().is_none()
        && base.fragment().is_none();
    if !is_plain {
        return Err(format!(
            "{name} is {base}: it must be an http or https URL without credentials or query"
        ));
    }
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    Ok(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(channels: &[&str]) -> CrawlRequest {
        let channel = |channel: &&str| CrawlChannel { channel: (*channel).to_owned(), category: None };
        CrawlRequest {
            channels: channels.iter().map(channel).collect(),
            ..CrawlRequest::into_dataset("/data/set".to_owned())
        }
    }

    fn read(request: CrawlRequest) -> Result<CrawlSpec, String> {
        CrawlSpec::read(request, Url::parse("file:///data/set/").unwrap(), "Trusted.test, 127.0.0.1")
    }

    #[test]
    fn channels_become_an_item_each() {
        let spec = read(request(&["@one", "UCTwECeGqMZee77BjdoYtI2Q"])).unwrap();
        let items: Vec<CrawlItem> = spec.items().collect();
        assert_eq!(items.len(), 2);
        assert_eq!(items[0].target, CrawlTarget::Channel("@one".to_owned()));
        let text = serde_json::to_string(&items[1]).unwrap();
        let read: dataset::manifest::ManifestItem = serde_json::from_str(&text).unwrap();
        assert_eq!(read.item, "UCTwECeGqMZee77BjdoYtI2Q", "a crawl item parses as a dataset item");
    }

    #[test]
    fn lists_are_split_into_slices_without_duplicates() {
        let id = |number: usize| format!("video{number:06}");
        let mut videos: Vec<String> = (0..51).map(id).collect();
        videos.push(format!("https://youtu.be/{}", id(3)));
        let list = CrawlRequest { source: Source::List, videos, ..request(&[]) };
        let items: Vec<CrawlItem> = read(list).unwrap().items().collect();
        assert_eq!(items.len(), 2);
        assert_eq!(items[0].item, "50 videos, video000000 to video000049");
        assert_eq!(items[1].target, CrawlTarget::Videos(vec![id(50)]));
    }

    #[test]
    fn invalid_requests_are_rejected_with_the_reason() {
        let check = |request: CrawlRequest, want: &str| {
            let error = read(request).unwrap_err();
            assert!(error.contains(want), "{error}");
        };
        check(request(&[]), "give channels");
        check(CrawlRequest { source: Source::List, ..request(&["@one"]) }, "give channels");
        check(CrawlRequest { videos_per_channel: 0, ..request(&["@one"]) }, "between 1 and 500");
        check(CrawlRequest { source: Source::Page, ..request(&["@one"]) }, "read_pages: true");
        check(request(&["https://example.org/@one"]), "not a YouTube link");
        check(
            request(&[&format!("https://www.youtube.com/@one?{}", "x".repeat(1024))]),
            "over the limit of 1024",
        );
        check(request(&["@one", "https://www.youtube.com/@one"]), "is a duplicate");
        let category = vec![CrawlChannel { channel: "@one".to_owned(), category: Some(" ".to_owned()) }];
        check(CrawlRequest { channels: category, ..request(&[]) }, "category ' '");
        let list = CrawlRequest { source: Source::List, videos: vec!["short".to_owned()], ..request(&[]) };
        check(list, "not a video ID");
        let web = Url::parse("ftp://www.youtube.com/").ok();
        check(CrawlRequest { web_base: web, ..request(&["@one"]) }, "web_base is ftp:");
    }

    #[test]
    fn only_allowed_hosts_are_read_and_get_the_api_key() {
        let with_api = |api: &str| CrawlRequest { api_base: Url::parse(api).ok(), ..request(&["@one"]) };
        assert!(read(with_api("https://evil.test/")).unwrap_err().contains("SUBWATCH_FETCH_ALLOW"));
        assert!(read(with_api("http://www.googleapis.com/")).is_err(), "not without TLS");
        let spec = read(with_api("http://trusted.test:8080/v")).unwrap();
        assert_eq!(spec.plan.bases.api.as_str(), "http://trusted.test:8080/v/");
        assert!(read(with_api("https://www.googleapis.com/")).is_ok());
        let evil = || Url::parse("https://evil.test/").ok();
        let error = read(CrawlRequest { image_base: evil(), ..request(&["@one"]) }).unwrap_err();
        assert!(
            error.starts_with("image_base is https://evil.test/: crawls read only i.ytimg.com"),
            "{error}"
        );
        let error = read(CrawlRequest { web_base: evil(), ..request(&["@one"]) }).unwrap_err();
        assert!(error.contains("SUBWATCH_FETCH_ALLOW"), "{error}");
    }
}
