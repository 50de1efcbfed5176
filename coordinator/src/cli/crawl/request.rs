//! From the arguments of a crawl to its request.
//!
//! Owns what files and flags name, and which rankings have to be read to complete it. Does not own reading them,
//! nor whether the request can be carried out: the coordinator says.

use std::{collections::HashSet, path::Path};

use common::job::crawl::Source;
use crawler::{
    ranking::{Ranked, Rankings},
    youtube::{
        ids::{ChannelRef, Reference},
        named_list::{self, ListEntry, ListFormat},
    },
};

use super::{Crawl, Preset, ranking::RankingFlags};
use crate::{
    api::{CrawlChannel, CrawlRequest},
    cli::{
        arguments::dataset_argument,
        exit::{CliError, Exit},
        output::plain,
    },
};

/// Largest list that is read.
const LARGEST_LIST: u64 = 64 << 20;

/// The request of a crawl, which rankings may have to complete.
#[derive(Debug)]
pub(super) struct RequestDraft {
    /// The request, with the channels that are named.
    pub(super) request: CrawlRequest,
    /// What names the others.
    pub(super) rankings: Option<Rankings>,
}

impl RequestDraft {
    /// Returns the request with the channels of rankings, unless they are named already.
    pub(super) fn complete(self, ranked: Vec<Ranked>) -> CrawlRequest {
        let mut request = self.request;
        let url =
            |name: &str| name.parse().map_or_else(|_| name.to_owned(), |channel: ChannelRef| channel.url());
        let named: HashSet<String> = request.channels.iter().map(|one| url(&one.channel)).collect();
        let others = ranked.into_iter().filter(|one| !named.contains(&url(&one.channel)));
        request
            .channels
            .extend(others.map(|one| CrawlChannel { channel: one.channel, category: Some(one.category) }));
        request
    }
}

impl Crawl {
    /// Returns what these arguments ask for.
    ///
    /// # Errors
    /// When a file cannot be read, something it names is neither a channel nor a video, or a category has no
    /// channels.
    pub(super) fn draft(self, deadline_seconds: Option<u64>) -> Result<RequestDraft, CliError> {
        let mut channels = Vec::new();
        let mut by_ranking = Vec::new();
        for category in &self.categories {
            match category.split_once('=') {
                Some((name, given)) => channels.extend(of_category(category, name, given)?),
                None => by_ranking.push(category.clone()),
            }
        }
        for ListEntry { reference, category, .. } in entries(&self.channels)? {
            match reference {
                Reference::Channel(channel) => {
                    channels.push(CrawlChannel { channel: channel.name(), category });
                }
                Reference::Video(video) => {
                    return Err(usage(format!("{video} is a video: name it with --videos")));
                }
            }
        }
        let videos = entries(&self.videos)?.into_iter().map(|ListEntry { reference, .. }| {
            let video = reference.video();
            video.map(|video| video.to_string()).map_err(|error| usage(format!("--videos: {error}")))
        });
        let videos: Vec<String> = videos.collect::<Result<_, _>>()?;
        let source = self.source.unwrap_or(if videos.is_empty() { Source::Api } else { Source::List });
        let preset = self.preset;
        let is_named = !self.categories.is_empty() || !channels.is_empty() || !videos.is_empty();
        let preset_categories = preset.filter(|_| !is_named).map(Preset::categories).unwrap_or_default();
        by_ranking.extend(preset_categories.iter().map(|name| (*name).to_owned()));
        let rankings = rankings(self.ranking, self.read_pages, source, by_ranking, preset_categories)?;
        let defaults = CrawlRequest::into_dataset(dataset_argument(&self.out.unwrap_or_default()));
        let request = CrawlRequest {
            source,
            order: self.order.or(preset.map(Preset::order)).unwrap_or(defaults.order),
            videos_per_channel: self
                .videos_per_channel
                .or(preset.map(Preset::videos_per_channel))
                .unwrap_or(defaults.videos_per_channel),
            channels,
            videos,
            // The consent that rankings want as well is not meant for workers that read no pages.
            page_reading: self.read_pages && (source == Source::Page || rankings.is_none()),
            api_base: self.api_base,
            web_base: self.web_base,
            image_base: self.image_base,
            deadline_seconds,
            ..defaults
        };
        Ok(RequestDraft { request, rankings })
    }
}

/// Says which rankings are to be read for these categories, of which some may be the preset's.
fn rankings(
    flags: RankingFlags,
    read_pages: bool,
    source: Source,
    categories: Vec<String>,
    of_preset: &[&str],
) -> Result<Option<Rankings>, CliError> {
    match flags.ranking {
        Some(_) if source == Source::List => {
            Err(usage("--ranking names channels, and the source 'list' takes videos".to_owned()))
        }
        Some(_) if categories.is_empty() => Err(usage(
            "--ranking is given, but no category to read there: name one with --category NAME".to_owned(),
        )),
        Some(address) => {
            Rankings::new(address, categories, flags.top, read_pages).map(Some).map_err(CliError::from)
        }
        None if !of_preset.is_empty() => Err(usage(format!(
            "the preset takes the first channels of {} as a page ranks them, and the page of 2020 is gone: name \
             one with --ranking 'https://…/{{category}}', or channels with --category NAME=CHANNEL,CHANNEL or \
             --channels",
            of_preset.join(", ")
        ))),
        None => categories.first().map_or(Ok(None), |name| Err(without_channels(name))),
    }
}

/// Reads the channels of a category; a file may stand for some.
fn of_category(text: &str, name: &str, channels: &str) -> Result<Vec<CrawlChannel>, CliError> {
    let name = name.trim();
    if name.is_empty() || channels.trim().is_empty() {
        return Err(usage(format!("--category is '{}': give it as NAME=CHANNEL,CHANNEL", plain(text))));
    }
    let of_category = |ListEntry { reference, .. }: ListEntry| match reference {
        Reference::Channel(channel) => {
            Ok(CrawlChannel { channel: channel.name(), category: Some(name.to_owned()) })
        }
        Reference::Video(video) => Err(usage(format!("--category {name}: {video} is a video"))),
    };
    entries(&[channels.to_owned()])?.into_iter().map(of_category).collect()
}

fn without_channels(name: &str) -> CliError {
    let name = plain(name);
    usage(format!(
        "--category is '{name}': give its channels as NAME=CHANNEL,CHANNEL, or a page that ranks them with --ranking \
         'https://…/{{category}}'"
    ))
}

/// Reads names that are given themselves, separated by commas, or by the files that hold them.
fn entries(given: &[String]) -> Result<Vec<ListEntry>, CliError> {
    let mut found = Vec::new();
    for text in given {
        let path = Path::new(text);
        if path.is_file() {
            found.extend(of_file(path)?);
            continue;
        }
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let reference = name.parse().map_err(|error| usage(format!("{error}, and no file")))?;
            found.push(ListEntry { line: 1, reference, category: None });
        }
    }
    Ok(found)
}

fn of_file(path: &Path) -> Result<Vec<ListEntry>, CliError> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| CliError::failed(format!("{shown} cannot be read: {error}"));
    if path.metadata().map_err(unreadable)?.len() > LARGEST_LIST {
        return Err(usage(format!("{shown} is larger than {} MiB", LARGEST_LIST >> 20)));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let entries = named_list::read(&text, ListFormat::of_name(&path.to_string_lossy()));
    entries.map_err(|error| usage(format!("{shown}: {}", plain(&error.to_string()))))
}

fn usage(message: String) -> CliError {
    CliError::new(Exit::Usage, message)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use common::job::crawl::Order;

    use super::*;
    use crawler::ranking::Address;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        crawl: Crawl,
    }

    fn draft(arguments: &[&str]) -> Result<RequestDraft, String> {
        let all = ["crawl", "--out", "/data/set"].iter().chain(arguments);
        let only = Only::try_parse_from(all).map_err(|error| error.to_string())?;
        only.crawl.draft(None).map_err(|error| error.message)
    }

    fn request(arguments: &[&str]) -> Result<CrawlRequest, String> {
        draft(arguments).map(|draft| draft.request)
    }

    fn channels(request: &CrawlRequest) -> Vec<(&str, Option<&str>)> {
        request.channels.iter().map(|one| (one.channel.as_str(), one.category.as_deref())).collect()
    }

    const RANKING: [&str; 3] = ["--ranking", "https://example.org/{category}", "--read-pages"];

    #[test]
    fn channels_come_with_and_without_a_category_and_from_files() {
        let file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
        std::fs::write(&file, "category,handle\nFood,@three\n,@four\n").unwrap();
        let path = file.path().to_str().unwrap();
        let asked = request(&["--category", "Fitness=@one, youtube.com/@two", "--channels", path]).unwrap();
        let (fitness, food) = (Some("Fitness"), Some("Food"));
        let named = [("@one", fitness), ("@two", fitness), ("@three", food), ("@four", None)];
        assert_eq!(channels(&asked), named);
        let asked = request(&["--category", &format!("Fitness={path}")]).unwrap();
        assert_eq!(channels(&asked), [("@three", fitness), ("@four", fitness)], "what is said wins");
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
    fn a_category_without_channels_is_ranked() {
        let ranked = |arguments: &[&str]| draft(&[&RANKING[..], arguments].concat()).unwrap();
        let both = ranked(&["--category", "games", "--category", "Fitness=@one", "--top", "5"]);
        let address: Address = RANKING[1].parse().unwrap();
        let rankings = |names: &[&str], top| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            Some(Rankings::new(address.clone(), names, top, true).unwrap())
        };
        assert_eq!(both.rankings, rankings(&["games"], Some(5)));
        assert_eq!(channels(&both.request), [("@one", Some("Fitness"))]);
        assert!(!both.request.page_reading, "workers are let read no pages for the sake of a ranking");
        let pages = ranked(&["--category", "games", "--source", "page"]);
        assert!(pages.request.page_reading);

        let preset = ranked(&["--preset", "sub-watch-2020"]);
        assert_eq!(preset.rankings, rankings(&["먹방", "여행", "게임", "정치", "뷰티"], Some(20)));
        let others = ranked(&["--preset", "sub-watch-2020", "--category", "games"]);
        assert_eq!(others.rankings, rankings(&["games"], None));
    }

    #[test]
    fn a_channel_that_is_named_keeps_its_category() {
        let draft = draft(&[&RANKING[..], &["--category", "games", "--category", "Fitness=@one"]].concat());
        let ranked = |rank, channel| Ranked::new("games", rank, channel);
        let request = draft.unwrap().complete(vec![ranked(1, "@two"), ranked(2, "@one")]);
        assert_eq!(channels(&request), [("@one", Some("Fitness")), ("@two", Some("games"))]);
    }

    #[test]
    fn what_names_nothing_says_so() {
        let check = |arguments: &[&str], want: &str| {
            let error = request(arguments).unwrap_err();
            assert!(error.contains(want), "{error}");
        };
        check(&["--category", "@one"], "NAME=CHANNEL,CHANNEL, or a page that ranks them with --ranking");
        check(&["--category", "games="], "give it as NAME=CHANNEL,CHANNEL");
        check(&["--category", "games", "--top", "5"], "--ranking <URL>");
        check(&["--preset", "sub-watch-2020"], "먹방, 여행, 게임, 정치, 뷰티");
        check(&["--preset", "sub-watch-2020"], "the page of 2020 is gone: name one with --ranking");
        check(&RANKING, "name one with --category NAME");
        check(&[&RANKING[..], &["--category", "games", "--top", "0"]].concat(), "1..=1000");
        check(&[&RANKING[..2], &["--category", "games"]].concat(), "say --read-pages");
        check(&[&RANKING[..], &["--videos", "dQw4w9WgXcQ"]].concat(), "takes videos");
        check(&["--channels", "/no/such/file"], "and no file");
        check(&["--channels", "dQw4w9WgXcQ"], "name it with --videos");
        check(&["--videos", "@one"], "a channel where a video is wanted");
    }
}
