//! `subwatch crawl ranking`, and the ranking flags of `subwatch crawl`.
//!
//! [`crawler::ranking`] reads the rankings.

use clap::{ArgAction, Args};
use common::config::Settings;
use crawler::ranking::{RankedChannel, RankingError, Rankings, TOP, UrlTemplate};

use crate::cli::{
    exit::{CliError, Exit},
    output::{self, Format, plain},
};

const MAX_TOP: i64 = 1_000;

/// Ranking flags of `subwatch crawl`, where rankings are optional.
#[derive(Args, Default)]
pub(super) struct RankingFlags {
    /// Web page that ranks the channels of a category, as a URL with {category}; read with a headless browser.
    #[arg(long, value_name = "URL")]
    pub(super) ranking: Option<UrlTemplate>,
    /// Take the top N channels of each ranking [default: 20].
    #[arg(long, value_name = "N", requires = "ranking", value_parser = clap::value_parser!(u32).range(1..=MAX_TOP))]
    pub(super) top: Option<u32>,
}

#[derive(Args)]
pub(super) struct RankingArguments {
    /// Web page that ranks the channels of a category, as a URL with {category}.
    #[arg(long, value_name = "URL")]
    ranking: UrlTemplate,
    /// Category, as it appears in the URL.
    #[arg(long = "category", value_name = "NAME", required = true)]
    categories: Vec<String>,
    /// Take the top N channels of each ranking.
    #[arg(long, value_name = "N", default_value_t = TOP, value_parser = clap::value_parser!(u32).range(1..=MAX_TOP))]
    top: u32,
    /// Allow reading the page, which the site's terms may restrict; required.
    #[arg(long, action = ArgAction::SetTrue)]
    read_pages: bool,
}

pub(super) async fn run(
    settings: &Settings,
    format: Format,
    arguments: RankingArguments,
) -> Result<Exit, CliError> {
    let RankingArguments { ranking, categories, top, read_pages } = arguments;
    let rankings = Rankings::new(ranking, categories, Some(top), read_pages)?;
    let ranked = read(&rankings, settings).await?;
    match format {
        Format::Table | Format::Csv => output::print_csv(&ranked, true)?,
        Format::Json => output::print_json(format, &ranked)?,
        Format::Jsonl => ranked.iter().try_for_each(|channel| output::print_json(format, channel))?,
    }
    Ok(Exit::Done)
}

/// Reads rankings, with progress on standard error.
pub(super) async fn read(rankings: &Rankings, settings: &Settings) -> Result<Vec<RankedChannel>, CliError> {
    Ok(rankings.read(settings, |line| output::note(&plain(line))).await?)
}

impl From<RankingError> for CliError {
    fn from(error: RankingError) -> Self {
        match error {
            RankingError::Usage(message) => Self::new(Exit::Usage, plain(&message)),
            RankingError::Settings(error) => error.into(),
            RankingError::Failed(message) => Self::failed(message),
            RankingError::Interrupted => Self::new(Exit::Interrupted, error.to_string()),
        }
    }
}
