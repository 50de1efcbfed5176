//! `subwatch crawl`: channels and videos into a dataset, by jobs on the fleet; and what of crawling needs no fleet.
//!
//! Owns the arguments of a crawl and how it is waited for. Does not own reading sites, which workers do; only
//! rankings, which name the channels, are read here.
//!
//! `request` makes a request of the arguments and `report` prints what became of a crawl; `import`, `ranking` and
//! `replay` are commands below this one.

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
    arguments::{Deadline, Submitting, Waiting},
    client::Client,
    exit::{CliError, Exit},
    follow::follow,
    output::{self, Format, plain, time_text},
};
use crate::api::SubmissionRequest;

/// What reading pages means, said whenever it is asked for.
const PAGE_READING: &str = "reading pages: YouTube's terms restrict reading its pages with programs; robots.txt and rates are kept to, \
     the rest is your responsibility";

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct CrawlArguments {
    #[command(subcommand)]
    command: Option<CrawlCommand>,
    #[command(flatten)]
    crawl: Crawl,
    #[command(flatten)]
    submitting: Submitting,
    #[command(flatten)]
    deadline: Deadline,
    #[command(flatten)]
    waiting: Waiting,
}

#[derive(Subcommand)]
enum CrawlCommand {
    /// Read answers that a crawl kept, without asking any site, and say what is in them.
    Replay {
        /// Kept answers: files below `crawl/` in the artifacts folder.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Let crawls ask a host again that they leave alone, as `subwatch status` shows it.
    Resume {
        /// The host, with its port if it has one.
        host: String,
    },
    /// Make a part of a dataset of a table and a folder of thumbnails that are there already.
    Import(import::ImportArguments),
    /// Print the channels that a page ranks first in a category, as a list that --channels takes.
    Ranking(ranking::RankingArguments),
}

/// What to crawl, and how.
#[derive(Args)]
struct Crawl {
    /// The dataset to write, as the coordinator sees it; made where it is not there.
    #[arg(long, value_name = "DATASET", required = true)]
    out: Option<String>,
    /// Where listings come from: the Data API, pages of the site, or a list of videos [default: api, or list with
    /// --videos].
    #[arg(long)]
    source: Option<Source>,
    /// A category: its channels as @handles, UC… ids or URLs, separated by commas; or, with --ranking, its name
    /// alone, for the first channels of its ranking.
    #[arg(long = "category", value_name = "NAME[=CHANNEL,…]")]
    categories: Vec<String>,
    #[command(flatten)]
    ranking: ranking::RankingFlags,
    /// Channels without a category; also files that name one a line, as CSV or as JSON lines, where a column
    /// `category` may name it.
    #[arg(long, value_name = "FILE|CHANNEL", num_args = 1..)]
    channels: Vec<String>,
    /// Videos by id or URL, separated by commas; also files that name one a line, as CSV or as JSON lines. One that
    /// begins with a dash as --videos=-ID.
    #[arg(long, value_name = "FILE|VIDEO", num_args = 1..)]
    videos: Vec<String>,
    /// Videos taken of a channel, at most [default: 40].
    #[arg(long, value_name = "N")]
    videos_per_channel: Option<u32>,
    /// Which videos of a channel are taken first: popular or newest [default: newest].
    #[arg(long)]
    order: Option<Order>,
    /// Settings of a known crawl; those that are given beside it win.
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    /// Read pages of sites, which their terms may restrict; the source `page` and --ranking need it.
    #[arg(long, action = ArgAction::SetTrue)]
    read_pages: bool,
    /// Where the Data API stands, if not at Google's.
    #[arg(long, value_name = "URL")]
    api_base: Option<Url>,
    /// Where the site stands, if not at YouTube's.
    #[arg(long, value_name = "URL")]
    web_base: Option<Url>,
    /// Where thumbnails lie, if not at YouTube's.
    #[arg(long, value_name = "URL")]
    image_base: Option<Url>,
}

/// A known crawl.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Preset {
    /// The 40 most popular videos of the 20 channels that --ranking names first in each of 먹방, 여행, 게임, 정치
    /// and 뷰티, as the sub-watch project took them in 2020; channels or categories that are given win.
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
    if draft.request.page_reading {
        output::note(PAGE_READING);
    }
    let ranked = match &draft.rankings {
        Some(rankings) => ranking::read(rankings, settings).await?,
        None => Vec::new(),
    };
    let request = draft.complete(ranked);
    let request = SubmissionRequest::Crawl(Box::new(request));
    let view = client.submit(&request, arguments.submitting.idempotency_key.as_deref()).await?;
    let Some(view) = follow(client, format, view, &arguments.waiting).await? else { return Ok(Exit::Done) };
    let exit = view.state.into();
    show(client, format, view).await?;
    Ok(exit)
}

async fn resume(client: &Client, format: Format, host: &str) -> Result<Exit, CliError> {
    let source = client.resume_source(host).await?;
    match format {
        Format::Table => output::print(&format!(
            "{} may be asked again; it would have been left alone until {}: {}\njobs that rest for it are taken up within half \
             a minute",
            plain(&source.host),
            time_text(source.until_ms),
            plain(&source.reason)
        ))?,
        Format::Json | Format::Jsonl => output::print_json(format, &source)?,
    }
    Ok(Exit::Done)
}
