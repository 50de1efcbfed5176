//! Builds the request of a crawl from its arguments.
//!
//! Reads the files that list channels and videos, and says which rankings complete the request. Does not read
//! rankings; the coordinator validates the request.

use std::{collections::HashSet, path::Path};

use common::job::crawl::Source;
use crawler::{
    ranking::{RankedChannel, Rankings},
    table::{TableFormat, decode},
    youtube::{
        ids::{ChannelRef, Reference},
        named_list::{self, ListEntry},
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

const MAX_LIST_BYTES: u64 = 64 << 20;

/// The request of a crawl, before the channels of rankings are added.
#[derive(Debug)]
pub(super) struct RequestDraft {
    pub(super) request: CrawlRequest,
    pub(super) rankings: Option<Rankings>,
}

impl RequestDraft {
    /// Returns the request with the ranked channels that it does not name already.
    pub(super) fn complete(self, ranked: Vec<RankedChannel>) -> CrawlRequest {
        let mut request = self.request;
        let url =
            |name: &str| name.parse().map_or_else(|_| name.to_owned(), |channel: ChannelRef| channel.url());
        let named: HashSet<String> = request.channels.iter().map(|named| url(&named.channel)).collect();
        let others = ranked.into_iter().filter(|ranked| !named.contains(&url(&ranked.channel)));
        request.channels.extend(
            others.map(|other| CrawlChannel { channel: other.channel, category: Some(other.category) }),
        );
        request
    }
}

impl Crawl {
    /// Returns the request, and the rankings that complete it.
    ///
    /// # Errors
    /// If a file cannot be read or names something other than channels or videos, or a category has no channels.
    pub(super) fn draft(self, deadline_seconds: Option<u64>) -> Result<RequestDraft, CliError> {
        let mut channels = Vec::new();
        let mut ranked_categories = Vec::new();
        for category in &self.categories {
            match category.split_once('=') {
                Some((name, list)) => channels.extend(category_channels(category, name, list)?),
                None => ranked_categories.push(category.clone()),
            }
        }
        for NamedEntry { place, entry: ListEntry { reference, category, .. } } in entries(&self.channels)? {
            match reference {
                Reference::Channel(channel) => {
                    channels.push(CrawlChannel { channel: channel.name(), category });
                }
                Reference::Video(video) => {
                    return Err(usage(format!("--channels: {place}{video} is a video; use --videos")));
                }
            }
        }
        let videos = entries(&self.videos)?.into_iter().map(|NamedEntry { place, entry }| {
            let video = entry.reference.video();
            video.map(|video| video.to_string()).map_err(|error| usage(format!("--videos: {place}{error}")))
        });
        let videos: Vec<String> = videos.collect::<Result<_, _>>()?;
        let source = self.source.unwrap_or(if videos.is_empty() { Source::Api } else { Source::List });
        let preset = self.preset;
        let is_named = !self.categories.is_empty() || !channels.is_empty() || !videos.is_empty();
        let preset_categories = preset.filter(|_| !is_named).map(Preset::categories).unwrap_or_default();
        ranked_categories.extend(preset_categories.iter().map(|name| (*name).to_owned()));
        let rankings = rankings(self.ranking, self.read_pages, source, ranked_categories, preset_categories)?;
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
            // --read-pages given for a ranking, which is read here, does not let workers read pages.
            read_pages: self.read_pages && (source == Source::Page || rankings.is_none()),
            api_base: self.api_base,
            web_base: self.web_base,
            image_base: self.image_base,
            deadline_seconds,
            ..defaults
        };
        Ok(RequestDraft { request, rankings })
    }
}

/// Returns the rankings of these categories. `preset_categories` are those that come from a preset.
fn rankings(
    flags: RankingFlags,
    read_pages: bool,
    source: Source,
    categories: Vec<String>,
    preset_categories: &[&str],
) -> Result<Option<Rankings>, CliError> {
    match flags.ranking {
        Some(_) if source == Source::List => {
            Err(usage("--ranking names channels, but the source 'list' takes videos".to_owned()))
        }
        Some(_) if categories.is_empty() => {
            Err(usage("--ranking needs a category: add --category NAME".to_owned()))
        }
        Some(address) => {
            Rankings::new(address, categories, flags.top, read_pages).map(Some).map_err(CliError::from)
        }
        None if !preset_categories.is_empty() => Err(usage(format!(
            "the preset needs a ranking of {}, and the one of 2020 no longer exists: give another with --ranking \
             'https://…/{{category}}', or name channels with --category NAME=CHANNEL,… or --channels",
            preset_categories.join(", ")
        ))),
        None => categories.first().map_or(Ok(None), |name| Err(missing_channels(name))),
    }
}

/// Reads the channels of a category, from `argument`, which is `name=channels`.
fn category_channels(argument: &str, name: &str, channels: &str) -> Result<Vec<CrawlChannel>, CliError> {
    let name = name.trim();
    if name.is_empty() || channels.trim().is_empty() {
        return Err(usage(format!("--category '{}' must be NAME=CHANNEL,…", plain(argument))));
    }
    let channel = |NamedEntry { place, entry }: NamedEntry| match entry.reference {
        Reference::Channel(channel) => {
            Ok(CrawlChannel { channel: channel.name(), category: Some(name.to_owned()) })
        }
        Reference::Video(video) => Err(usage(format!("--category {name}: {place}{video} is a video"))),
    };
    entries(&[channels.to_owned()])?.into_iter().map(channel).collect()
}

fn missing_channels(name: &str) -> CliError {
    let name = plain(name);
    usage(format!(
        "--category '{name}' has no channels: name them as NAME=CHANNEL,…, or give a ranking with --ranking \
         'https://…/{{category}}'"
    ))
}

/// An entry and where it is from: empty, or `list.csv: line 3: `.
struct NamedEntry {
    place: String,
    entry: ListEntry,
}

/// Reads channels or videos: each argument is a file, or names separated by commas.
fn entries(arguments: &[String]) -> Result<Vec<NamedEntry>, CliError> {
    let mut entries = Vec::new();
    for argument in arguments {
        let path = Path::new(argument);
        if path.is_file() {
            let place = |line| plain(&format!("{}: line {line}: ", path.display()));
            let named = |entry: ListEntry| NamedEntry { place: place(entry.line), entry };
            entries.extend(read_file(path)?.into_iter().map(named));
            continue;
        }
        for name in argument.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let reference = name.parse().map_err(|error| usage(format!("{error}, and not a file")))?;
            let entry = ListEntry { line: 1, reference, category: None };
            entries.push(NamedEntry { place: String::new(), entry });
        }
    }
    Ok(entries)
}

fn read_file(path: &Path) -> Result<Vec<ListEntry>, CliError> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| CliError::failed(format!("cannot read {shown}: {error}"));
    if path.metadata().map_err(unreadable)?.len() > MAX_LIST_BYTES {
        return Err(usage(format!("{shown} is larger than {} MiB", MAX_LIST_BYTES >> 20)));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let text = decode(&bytes)
        .map_err(|error| usage(plain(&format!("{shown}: {}", error.with_command(&shown.to_string())))))?;
    let entries = named_list::read(&text, TableFormat::from_file_name(&path.to_string_lossy()));
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
    use crawler::ranking::UrlTemplate;

    #[derive(Parser)]
    struct TestArguments {
        #[command(flatten)]
        crawl: Crawl,
    }

    fn draft(arguments: &[&str]) -> Result<RequestDraft, String> {
        let all = ["crawl", "--out", "/data/set"].iter().chain(arguments);
        let arguments = TestArguments::try_parse_from(all).map_err(|error| error.to_string())?;
        arguments.crawl.draft(None).map_err(|error| error.message)
    }

    fn parse(arguments: &[&str]) -> Result<CrawlRequest, String> {
        draft(arguments).map(|draft| draft.request)
    }

    fn channels(request: &CrawlRequest) -> Vec<(&str, Option<&str>)> {
        request.channels.iter().map(|named| (named.channel.as_str(), named.category.as_deref())).collect()
    }

    const RANKING: [&str; 3] = ["--ranking", "https://example.org/{category}", "--read-pages"];

    #[test]
    fn channels_come_from_arguments_and_files() {
        let file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
        std::fs::write(&file, "category,handle\nFood,@three\n,@four\n").unwrap();
        let path = file.path().to_str().unwrap();
        let request = parse(&["--category", "Fitness=@one, youtube.com/@two", "--channels", path]).unwrap();
        let (fitness, food) = (Some("Fitness"), Some("Food"));
        let named = [("@one", fitness), ("@two", fitness), ("@three", food), ("@four", None)];
        assert_eq!(channels(&request), named);
        let request = parse(&["--category", &format!("Fitness={path}")]).unwrap();
        assert_eq!(
            channels(&request),
            [("@three", fitness), ("@four", fitness)],
            "--category overrides the file"
        );
        assert_eq!((request.source, request.videos_per_channel), (Source::Api, 40));
    }

    #[test]
    fn videos_select_the_list_source() {
        let request = parse(&["--videos", "dQw4w9WgXcQ,https://youtu.be/BD-LB23rRBE"]).unwrap();
        assert_eq!((request.source, request.videos.len()), (Source::List, 2));
    }

    #[test]
    fn flags_override_a_preset() {
        let preset = ["--channels", "@one", "--preset", "sub-watch-2020"];
        let request = parse(&preset).unwrap();
        assert_eq!((request.order, request.videos_per_channel), (Order::Popular, 40));
        let request = parse(&[&preset[..], &["--videos-per-channel", "5"]].concat()).unwrap();
        assert_eq!((request.order, request.videos_per_channel), (Order::Popular, 5));
    }

    #[test]
    fn category_without_channels_is_read_from_the_ranking() {
        let ranked = |arguments: &[&str]| draft(&[&RANKING[..], arguments].concat()).unwrap();
        let both = ranked(&["--category", "games", "--category", "Fitness=@one", "--top", "5"]);
        let address: UrlTemplate = RANKING[1].parse().unwrap();
        let rankings = |names: &[&str], top| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            Some(Rankings::new(address.clone(), names, top, true).unwrap())
        };
        assert_eq!(both.rankings, rankings(&["games"], Some(5)));
        assert_eq!(channels(&both.request), [("@one", Some("Fitness"))]);
        assert!(!both.request.read_pages, "a ranking does not let workers read pages");
        let pages = ranked(&["--category", "games", "--source", "page"]);
        assert!(pages.request.read_pages);

        let preset = ranked(&["--preset", "sub-watch-2020"]);
        assert_eq!(preset.rankings, rankings(&["먹방", "여행", "게임", "정치", "뷰티"], Some(20)));
        let others = ranked(&["--preset", "sub-watch-2020", "--category", "games"]);
        assert_eq!(others.rankings, rankings(&["games"], None));
    }

    #[test]
    fn named_channel_keeps_its_category_over_that_of_a_ranking() {
        let draft = draft(&[&RANKING[..], &["--category", "games", "--category", "Fitness=@one"]].concat());
        let ranked = |rank, channel| RankedChannel::new("games", rank, channel);
        let request = draft.unwrap().complete(vec![ranked(1, "@two"), ranked(2, "@one")]);
        assert_eq!(channels(&request), [("@one", Some("Fitness")), ("@two", Some("games"))]);
    }

    #[test]
    fn invalid_arguments_are_explained() {
        let check = |arguments: &[&str], expected: &str| {
            let error = parse(arguments).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check(
            &["--category", "@one"],
            "has no channels: name them as NAME=CHANNEL,…, or give a ranking with --ranking",
        );
        check(&["--category", "games="], "must be NAME=CHANNEL,…");
        check(&["--category", "games", "--top", "5"], "--ranking <URL>");
        check(&["--preset", "sub-watch-2020"], "먹방, 여행, 게임, 정치, 뷰티");
        check(
            &["--preset", "sub-watch-2020"],
            "the one of 2020 no longer exists: give another with --ranking",
        );
        check(&RANKING, "add --category NAME");
        check(&[&RANKING[..], &["--category", "games", "--top", "0"]].concat(), "1..=1000");
        check(&[&RANKING[..2], &["--category", "games"]].concat(), "add --read-pages");
        check(&[&RANKING[..], &["--videos", "dQw4w9WgXcQ"]].concat(), "takes videos");
        check(&["--channels", "/no/such/file"], "and not a file");
        check(&["--channels", "dQw4w9WgXcQ"], "is a video; use --videos");
        check(&["--videos", "@one"], "a channel; a video is required");
    }
}
