//! `subwatch crawl ranking`, and the arguments that name rankings.
//!
//! Owns how errors of reading rankings end a command. Does not own reading them (see [`crawler::ranking`]).

use clap::{ArgAction, Args};
use common::config::Settings;
use crawler::ranking::{Address, Ranked, RankingError, Rankings, TOP, csv_of};

use crate::cli::{
    exit::{CliError, Exit},
    output::{self, Format, plain},
};

/// Most channels taken of a ranking.
const MOST: i64 = 1_000;

/// Which rankings, for commands that need none.
#[derive(Args, Default)]
pub(super) struct RankingFlags {
    /// Pages that rank the channels of a category, as a URL with {category} in it; read with a browser.
    #[arg(long, value_name = "URL")]
    pub(super) ranking: Option<Address>,
    /// Channels taken of a ranking, at most [default: 20].
    #[arg(long, value_name = "N", requires = "ranking", value_parser = clap::value_parser!(u32).range(1..=MOST))]
    pub(super) top: Option<u32>,
}

/// `subwatch crawl ranking`.
#[derive(Args)]
pub(super) struct RankingArguments {
    /// Pages that rank the channels of a category, as a URL with {category} in it.
    #[arg(long, value_name = "URL")]
    ranking: Address,
    /// A category, as the URL wants it.
    #[arg(long = "category", value_name = "NAME", required = true)]
    categories: Vec<String>,
    /// Channels taken of a ranking, at most.
    #[arg(long, value_name = "N", default_value_t = TOP, value_parser = clap::value_parser!(u32).range(1..=MOST))]
    top: u32,
    /// Read pages of the site, which its terms may restrict.
    #[arg(long, action = ArgAction::SetTrue)]
    read_pages: bool,
}

/// Prints rankings: as CSV that `--channels` takes, or as JSON.
pub(super) async fn run(
    settings: &Settings,
    format: Format,
    arguments: RankingArguments,
) -> Result<Exit, CliError> {
    let RankingArguments { ranking, categories, top, read_pages } = arguments;
    let rankings = Rankings::new(ranking, categories, Some(top), read_pages)?;
    let ranked = read(&rankings, settings).await?;
    match format {
        Format::Table => output::print_bytes(&csv_of(&ranked))?,
        Format::Json => output::print_json(format, &ranked)?,
        Format::Jsonl => ranked.iter().try_for_each(|one| output::print_json(format, one))?,
    }
    Ok(Exit::Done)
}

/// Reads rankings, and notes how that gets on.
pub(super) async fn read(rankings: &Rankings, settings: &Settings) -> Result<Vec<Ranked>, CliError> {
    Ok(rankings.read(settings, |line| output::note(&plain(line))).await?)
}

impl From<RankingError> for CliError {
    fn from(error: RankingError) -> Self {
        match error {
            RankingError::Usage(what) => Self::new(Exit::Usage, plain(&what)),
            RankingError::Settings(error) => error.into(),
            RankingError::Failed(what) => Self::failed(what),
            RankingError::Interrupted => Self::new(Exit::Interrupted, error.to_string()),
        }
    }
}
