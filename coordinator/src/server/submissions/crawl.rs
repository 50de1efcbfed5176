//! What a crawl submission is, and its items.
//!
//! Owns which requests are crawls that can be carried out, as a function of the request and of the hosts
//! that the operator allows. Does not own whether a host's addresses are public: workers check that with
//! every connection. Invariant: the key of the Data API goes nowhere but to Google, or where the operator
//! says.

use std::collections::HashSet;

use common::job::crawl::{Bases, CrawlItem, CrawlPlan, CrawlTarget, MAX_VIDEOS, Source};
use crawler::youtube::ids::{ChannelRef, Reference};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::api::{CrawlChannel, CrawlRequest};

/// Most channels, and most videos of a list, in one request.
const MAX_CHANNELS: usize = 10_000;
const MAX_LISTED: usize = 50_000;
/// Videos of a list in one job: as many as one call of the Data API tells about.
const SLICE: usize = 50;
/// Longest name of a category.
const LONGEST_CATEGORY: usize = 100;

/// A crawl submission as its coordinator reads it again after a restart.
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
    /// Items in a manifest part, and so in a job.
    pub(super) const PART_ITEMS: u32 = 1;

    /// Checks a request and takes what it asks for, to be written to `out`.
    ///
    /// # Errors
    /// In words for the caller.
    pub(crate) fn read(request: CrawlRequest, out: Url, allowed_hosts: &str) -> Result<Self, String> {
        let CrawlRequest { source, order, videos_per_channel, page_reading, .. } = request;
        if !(1..=MAX_VIDEOS).contains(&videos_per_channel) {
            return Err(format!(
                "videos_per_channel is {videos_per_channel}: it must be between 1 and {MAX_VIDEOS}"
            ));
        }
        if source == Source::Page && !page_reading {
            return Err(
                "the source 'page' reads pages of the site that its options may not allow to be read by programs: \
                 say page_reading: true (--read-pages) if that is for you to decide"
                    .to_owned(),
            );
        }
        let has_videos = source == Source::List;
        if has_videos != request.channels.is_empty() || has_videos == request.videos.is_empty() {
            return Err("give channels with the sources 'api' and 'page', and videos with 'list'".to_owned());
        }
        if request.channels.len() > MAX_CHANNELS {
            return Err(format!("{} channels are over the limit of {MAX_CHANNELS}", request.channels.len()));
        }
        if request.videos.len() > MAX_LISTED {
            return Err(format!("{} videos are over the limit of {MAX_LISTED}", request.videos.len()));
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
        let host = bases.api.host_str().unwrap_or_default();
        let is_allowed = allowed_hosts.split(',').any(|allowed| allowed.trim().eq_ignore_ascii_case(host));
        if bases.api != defaults.api && !is_allowed {
            return Err(format!(
                "api_base is {}: the workers' key goes to no other host than {} unless SUBWATCH_FETCH_ALLOW names it",
                bases.api,
                defaults.api.host_str().unwrap_or_default()
            ));
        }
        Ok(Self {
            out,
            plan: CrawlPlan { source, order, videos_per_channel, page_reading, bases },
            channels: request.channels.into_iter().map(ChannelSpec::from).collect(),
            videos: read_videos(&request.videos)?,
            category: request.category,
        })
    }

    /// Returns the items: channels as they were named, or slices of the list.
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
        let reference: ChannelRef = channel.parse().map_err(|error| format!("channels: {error}"))?;
        if !seen.insert(reference.url()) {
            return Err(format!("channels: '{channel}' is named twice"));
        }
        if let Some(category) = category {
            check_category(category)?;
        }
    }
    Ok(())
}

fn check_category(category: &str) -> Result<(), String> {
    let is_name = !category.trim().is_empty()
        && category.chars().count() <= LONGEST_CATEGORY
        && !category.contains(char::is_control);
    if is_name {
        Ok(())
    } else {
        Err(format!("category '{category}' is no name of at most {LONGEST_CATEGORY} characters"))
    }
}

/// Reads ids and URLs; a video that is named twice is taken once.
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
        assert_eq!(read.item, "UCTwECeGqMZee77BjdoYtI2Q", "it reads as an item of a dataset");
    }

    #[test]
    fn lists_are_cut_into_slices_of_distinct_videos() {
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
    fn what_cannot_be_crawled_is_refused_in_words() {
        let check = |request: CrawlRequest, want: &str| {
            let error = read(request).unwrap_err();
            assert!(error.contains(want), "{error}");
        };
        check(request(&[]), "give channels");
        check(CrawlRequest { source: Source::List, ..request(&["@one"]) }, "give channels");
        check(CrawlRequest { videos_per_channel: 0, ..request(&["@one"]) }, "between 1 and 500");
        check(CrawlRequest { source: Source::Page, ..request(&["@one"]) }, "page_reading: true");
        check(request(&["https://example.org/@one"]), "no link to YouTube");
        check(request(&["@one", "https://www.youtube.com/@one"]), "named twice");
        let category = vec![CrawlChannel { channel: "@one".to_owned(), category: Some(" ".to_owned()) }];
        check(CrawlRequest { channels: category, ..request(&[]) }, "category ' '");
        let list = CrawlRequest { source: Source::List, videos: vec!["short".to_owned()], ..request(&[]) };
        check(list, "no video id");
        let web = Url::parse("ftp://www.youtube.com/").ok();
        check(CrawlRequest { web_base: web, ..request(&["@one"]) }, "web_base is ftp:");
    }

    #[test]
    fn the_key_goes_nowhere_but_where_it_belongs() {
        let with_api = |api: &str| CrawlRequest { api_base: Url::parse(api).ok(), ..request(&["@one"]) };
        assert!(read(with_api("https://evil.test/")).unwrap_err().contains("SUBWATCH_FETCH_ALLOW"));
        assert!(read(with_api("http://www.googleapis.com/")).is_err(), "not in the clear");
        let spec = read(with_api("http://trusted.test:8080/v")).unwrap();
        assert_eq!(spec.plan.bases.api.as_str(), "http://trusted.test:8080/v/");
        assert!(read(with_api("https://www.googleapis.com/")).is_ok());
    }
}
