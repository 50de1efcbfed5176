//! From the arguments of a crawl to its request.
//!
//! Owns what files and flags name. Does not own whether it can be crawled: the coordinator says.

use std::path::Path;

use common::crawl::Source;
use data::youtube::{
    ids::{ChannelRef, Reference},
    list::{self, ListFormat},
};

use super::Crawl;
use crate::{
    api::{CrawlChannel, CrawlRequest},
    cli::{
        dataset_argument,
        exit::{CliError, Exit},
        output::plain,
    },
};

/// Largest list that is read.
const LARGEST_LIST: u64 = 64 << 20;

impl Crawl {
    /// Returns what these arguments ask for.
    ///
    /// # Errors
    /// When a file cannot be read, or something it names is neither a channel nor a video.
    pub(super) fn request(self, deadline_seconds: Option<u64>) -> Result<CrawlRequest, CliError> {
        let mut channels = Vec::new();
        for category in &self.categories {
            channels.extend(of_category(category)?);
        }
        for named in references(&self.channels)? {
            match named {
                Reference::Channel(channel) => {
                    channels.push(CrawlChannel { channel: text_of(&channel), category: None });
                }
                Reference::Video(video) => {
                    return Err(usage(format!("{video} is a video: name it with --videos")));
                }
            }
        }
        let videos = references(&self.videos)?.into_iter().map(|named| {
            named.video().map(|video| video.to_string()).map_err(|error| usage(format!("--videos: {error}")))
        });
        let videos: Vec<String> = videos.collect::<Result<_, _>>()?;
        let source = self.source.unwrap_or(if videos.is_empty() { Source::Api } else { Source::List });
        let defaults = CrawlRequest::into_dataset(dataset_argument(&self.out.unwrap_or_default()));
        let preset = self.preset;
        Ok(CrawlRequest {
            source,
            order: self.order.or(preset.map(super::Preset::order)).unwrap_or(defaults.order),
            videos_per_channel: self
                .videos_per_channel
                .or(preset.map(super::Preset::videos_per_channel))
                .unwrap_or(defaults.videos_per_channel),
            channels,
            videos,
            page_reading: self.read_pages,
            api_base: self.api_base,
            web_base: self.web_base,
            image_base: self.image_base,
            deadline_seconds,
            ..defaults
        })
    }
}

/// Reads `NAME=CHANNEL,CHANNEL`, where a file may stand for channels.
fn of_category(text: &str) -> Result<Vec<CrawlChannel>, CliError> {
    let wrong = || usage(format!("--category is '{}': give it as NAME=CHANNEL,CHANNEL", plain(text)));
    let (name, channels) = text.split_once('=').ok_or_else(wrong)?;
    let name = name.trim();
    if name.is_empty() || channels.trim().is_empty() {
        return Err(wrong());
    }
    let of_category = |named: Reference| match named {
        Reference::Channel(channel) => {
            Ok(CrawlChannel { channel: text_of(&channel), category: Some(name.to_owned()) })
        }
        Reference::Video(video) => Err(usage(format!("--category {name}: {video} is a video"))),
    };
    references(&[channels.to_owned()])?.into_iter().map(of_category).collect()
}

/// Reads names that are given themselves, separated by commas, or by the files that hold them.
fn references(given: &[String]) -> Result<Vec<Reference>, CliError> {
    let mut found = Vec::new();
    for text in given {
        let path = Path::new(text);
        if path.is_file() {
            found.extend(of_file(path)?);
            continue;
        }
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let reference: Result<Reference, _> = name.parse();
            found.push(reference.map_err(|error| usage(format!("{error}, and no file")))?);
        }
    }
    Ok(found)
}

fn of_file(path: &Path) -> Result<Vec<Reference>, CliError> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| CliError::failed(format!("{shown} cannot be read: {error}"));
    if path.metadata().map_err(unreadable)?.len() > LARGEST_LIST {
        return Err(usage(format!("{shown} is larger than {} MiB", LARGEST_LIST >> 20)));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let entries = list::read(&text, ListFormat::of_name(&path.to_string_lossy()));
    let entries = entries.map_err(|error| usage(format!("{shown}: {}", plain(&error.to_string()))))?;
    Ok(entries.into_iter().map(|entry| entry.reference).collect())
}

/// The shortest text that names a channel.
fn text_of(channel: &ChannelRef) -> String {
    match channel {
        ChannelRef::Id(id) => id.to_string(),
        ChannelRef::Handle(handle) => handle.to_string(),
        ChannelRef::Link(link) => link.clone(),
    }
}

fn usage(message: String) -> CliError {
    CliError::new(Exit::Usage, message)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use common::crawl::Order;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        crawl: Crawl,
    }

    fn request(arguments: &[&str]) -> Result<CrawlRequest, String> {
        let all = ["crawl", "--out", "/data/set"].iter().chain(arguments);
        let only = Only::try_parse_from(all).map_err(|error| error.to_string())?;
        only.crawl.request(None).map_err(|error| error.message)
    }

    #[test]
    fn channels_come_with_and_without_a_category_and_from_files() {
        let file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
        std::fs::write(&file, "name,handle\nOne,@three\nTwo,@four\n").unwrap();
        let path = file.path().to_str().unwrap();
        let asked = request(&["--category", "Fitness=@one, youtube.com/@two", "--channels", path]).unwrap();
        let channels: Vec<(&str, Option<&str>)> =
            asked.channels.iter().map(|one| (one.channel.as_str(), one.category.as_deref())).collect();
        let fitness = Some("Fitness");
        assert_eq!(channels, [("@one", fitness), ("@two", fitness), ("@three", None), ("@four", None)]);
        assert_eq!((asked.source, asked.videos_per_channel), (Source::Api, 40));
    }

    #[test]
    fn videos_are_a_list() {
        let asked = request(&["--videos", "dQw4w9WgXcQ,https://youtu.be/BD-LB23rRBE"]).unwrap();
        assert_eq!((asked.source, asked.videos.len()), (Source::List, 2));
    }

    #[test]
    fn a_preset_gives_way_to_what_is_said() {
        let preset = ["--channels", "@one", "--preset", "sub-watch-2020"];
        let asked = request(&preset).unwrap();
        assert_eq!((asked.order, asked.videos_per_channel), (Order::Popular, 40));
        let asked = request(&[&preset[..], &["--videos-per-channel", "5"]].concat()).unwrap();
        assert_eq!((asked.order, asked.videos_per_channel), (Order::Popular, 5));
    }

    #[test]
    fn what_names_nothing_says_so() {
        let check = |arguments: &[&str], want: &str| {
            let error = request(arguments).unwrap_err();
            assert!(error.contains(want), "{error}");
        };
        check(&["--category", "@one"], "NAME=CHANNEL,CHANNEL");
        check(&["--channels", "/no/such/file"], "and no file");
        check(&["--channels", "dQw4w9WgXcQ"], "name it with --videos");
        check(&["--videos", "@one"], "a channel where a video is wanted");
    }
}
