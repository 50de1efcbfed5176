//! `subwatch crawl`: submits crawls, and runs the crawl commands that need no workers.
//!
//! Workers read the sites. Only rankings, which name the channels to crawl, are read on this machine.
//!
//! `request` makes the request, `report` prints the result; `import`, `ranking` and `replay` are subcommands.

mod import;
mod ranking;
mod replay;
mod report;
mod request;

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand, ValueEnum};
use common::{
    config::Settings,
    job::crawl::{Order, Source},
};
use url::Url;

pub(super) use self::report::show;
use super::{
    arguments::{DeadlineArguments, IdempotencyArguments, WaitArguments},
    client::Client,
    exit::{CliError, Exit},
    follow::{follow, require_no_error},
    output::{self, Format, plain, time_text},
};
use crate::api::{SubmissionRequest, SubmissionView};

/// Printed whenever `--read-pages` is used.
const PAGE_READING_NOTE: &str = "reading pages: YouTube's terms restrict automated access to its pages; \
    subwatch obeys robots.txt and its rate limits, the rest is your responsibility";

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct CrawlArguments {
    #[command(subcommand)]
    command: Option<CrawlCommand>,
    #[command(flatten)]
    crawl: Crawl,
    #[command(flatten)]
    idempotency: IdempotencyArguments,
    #[command(flatten)]
    deadline: DeadlineArguments,
    #[command(flatten)]
    wait: WaitArguments,
}

#[derive(Subcommand)]
enum CrawlCommand {
    /// Parse recorded responses again, offline.
    Replay {
        /// Recorded responses: files under crawl/ in SUBWATCH_ARTIFACTS.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// End the back-off of a host early.
    Resume {
        /// Host, with its port if it has one, as `subwatch status` shows it.
        host: String,
    },
    /// Import a table of videos and a folder of thumbnails into a dataset.
    Import(import::ImportArguments),
    /// Print the top channels of rankings, as CSV for --channels.
    Ranking(ranking::RankingArguments),
}

#[derive(Args)]
struct Crawl {
    /// Dataset to write, as the coordinator sees it; created if it does not exist.
    #[arg(long, value_name = "DATASET", required = true)]
    out: Option<String>,
    /// Source of videos and counts: api (YouTube Data API), page (web pages) or list (the videos you name) [default:
    /// api, or list with --videos].
    #[arg(long)]
    source: Option<Source>,
    /// Category and its channels, as @handles, UC… IDs, URLs or files, separated by commas; with --ranking, only its
    /// name.
    #[arg(long = "category", value_name = "NAME[=CHANNEL,…]")]
    categories: Vec<String>,
    #[command(flatten)]
    ranking: ranking::RankingFlags,
    /// Channels without a category, or files that list channels: one per line, CSV, or JSON, with an optional column
    /// `category`.
    #[arg(long, value_name = "FILE|CHANNEL", num_args = 1..)]
    channels: Vec<String>,
    /// Videos, as IDs or URLs separated by commas, or files that list videos: one per line, CSV, or JSON. Write
    /// --videos=-ID if an ID begins with a dash.
    #[arg(long, value_name = "FILE|VIDEO", num_args = 1..)]
    videos: Vec<String>,
    /// Take at most N videos of each channel [default: 40].
    #[arg(long, value_name = "N")]
    videos_per_channel: Option<u32>,
    /// Take the newest or the most popular videos of a channel: newest or popular [default: newest].
    #[arg(long)]
    order: Option<Order>,
    /// Use the settings of a preset; other flags override them.
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    /// Allow reading web pages, which a site's terms may restrict; needed for --source page and --ranking.
    #[arg(long, action = ArgAction::SetTrue)]
    read_pages: bool,
    /// Base URL of the Data API [default: https://www.googleapis.com/].
    #[arg(long, value_name = "URL")]
    api_base: Option<Url>,
    /// Base URL of the site [default: https://www.youtube.com/].
    #[arg(long, value_name = "URL")]
    web_base: Option<Url>,
    /// Base URL of thumbnails [default: https://i.ytimg.com/].
    #[arg(long, value_name = "URL")]
    image_base: Option<Url>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Preset {
    /// The 40 most popular videos of the top 20 channels of --ranking in the categories 먹방, 여행, 게임, 정치 and
    /// 뷰티, as the sub-watch project crawled them in 2020; --category and --channels replace the categories.
    #[value(name = "sub-watch-2020")]
    SubWatch2020,
}

impl Preset {
    fn order(self) -> Order {
        match self {
            Self::SubWatch2020 => Order::Popular,
        }
    }

    fn videos_per_channel(self) -> u32 {
        match self {
            Self::SubWatch2020 => 40,
        }
    }

    fn categories(self) -> &'static [&'static str] {
        match self {
            Self::SubWatch2020 => &["먹방", "여행", "게임", "정치", "뷰티"],
        }
    }
}

pub(super) async fn run(
    client: &Client,
    settings: &Settings,
    format: Format,
    arguments: CrawlArguments,
) -> Result<Exit, CliError> {
    match arguments.command {
        Some(CrawlCommand::Replay { files }) => return replay::run(format, &files),
        Some(CrawlCommand::Resume { host }) => return resume(client, format, &host).await,
        Some(CrawlCommand::Import(arguments)) => {
            return import::run(&settings.images, format, arguments).await;
        }
        Some(CrawlCommand::Ranking(arguments)) => return ranking::run(settings, format, arguments).await,
        None => {}
    }
    let draft = arguments.crawl.draft(arguments.deadline.deadline)?;
    if draft.request.read_pages {
        output::note(PAGE_READING_NOTE);
    }
    let ranked = match &draft.rankings {
        Some(rankings) => ranking::read(rankings, settings).await?,
        None => Vec::new(),
    };
    let request = draft.complete(ranked);
    let request = SubmissionRequest::Crawl(Box::new(request));
    let view = client.submit(&request, arguments.idempotency.idempotency_key.as_deref()).await?;
    let Some(view) = follow(client, format, view, &arguments.wait).await? else { return Ok(Exit::Done) };
    finish(client, format, view).await
}

/// Prints an ended crawl, and returns the exit code of its outcome.
pub(super) async fn finish(client: &Client, format: Format, view: SubmissionView) -> Result<Exit, CliError> {
    if format == Format::Table {
        require_no_error(&view)?;
    }
    let exit = view.state.into();
    show(client, format, view).await?;
    Ok(exit)
}

async fn resume(client: &Client, format: Format, host: &str) -> Result<Exit, CliError> {
    let backoff = client.end_backoff(host).await?;
    match format {
        Format::Table | Format::Csv => output::print(&format!(
            "ended the back-off of {}, which would have lasted until {}: {}\nsnoozed jobs continue within 30 seconds",
            plain(&backoff.host),
            time_text(backoff.until_ms),
            plain(&backoff.reason)
        ))?,
        Format::Json | Format::Jsonl => output::print_json(format, &backoff)?,
    }
    Ok(Exit::Done)
}
