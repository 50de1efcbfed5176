//! The command line: a client of the HTTP API, and the way to start the server.
//!
//! Owns commands, what they print and how they exit. Does not own the work. Data goes to standard output,
//! everything else to standard error.
//!
//! Each command is a file or a folder of its name; `cancel`, `jobs`, `runs`, `spaces` and `workers` are small ones,
//! `train` is also `resume`. What they share: `client` (calls of the API), `arguments`, `images` (files, patterns,
//! standard input and URLs that are uploaded), `follow` and `progress` (waiting), `output` and `json_array` (printing)
//! and `exit`.

mod arguments;
mod cancel;
mod client;
mod config;
mod crawl;
mod dataset;
mod dead;
mod doctor;
mod embed;
mod exit;
mod export;
mod follow;
mod images;
mod jobs;
mod json_array;
mod output;
mod predict;
mod progress;
mod runs;
mod similar;
mod spaces;
mod status;
mod token;
mod train;
mod workers;

use clap::{Args, Parser, Subcommand};
use common::{
    config::{ConfigError, Loaded},
    telemetry,
};

pub use self::exit::Exit;
use self::{client::Client, exit::CliError, output::Format};
use crate::server::serve;

/// Predicts how YouTube thumbnails will do, with jobs on a fleet of workers.
///
/// Start the system with `make up`, then try:
///
///   subwatch dataset sample /tmp/sample --count 600 --seed 0
///   subwatch embed /tmp/sample
///   subwatch train /tmp/sample
///   subwatch predict /tmp/sample/thumbnails/s0-00000*.jpg
///   subwatch similar /tmp/sample/thumbnails/s0-000000.jpg
#[derive(Parser)]
#[command(name = "subwatch", version, verbatim_doc_comment)]
pub struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Args)]
struct Global {
    /// Address of the coordinator [setting: SUBWATCH_URL] [default: http://127.0.0.1:8470].
    #[arg(long, global = true)]
    url: Option<String>,
    /// Form of what is printed.
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Subcommand)]
enum Command {
    /// Run the coordinator: HTTP API, tracking, training runs.
    Serve,
    /// Crawl channels or videos into a dataset.
    Crawl(Box<crawl::CrawlArguments>),
    /// Embed every image of a dataset.
    Embed(embed::EmbedArguments),
    /// Train a head on a dataset, embedding it first where needed.
    Train(train::TrainArguments),
    /// Predict how images will do.
    Predict(predict::PredictArguments),
    /// Find the embedded images most similar to one.
    Similar(similar::SimilarArguments),
    /// List training runs.
    Runs(runs::RunsArguments),
    /// List the jobs of a submission, or of all that are going on.
    Jobs(jobs::JobsArguments),
    /// List workers.
    Workers,
    /// List or drop spaces of embeddings.
    #[command(subcommand)]
    Spaces(spaces::SpacesCommand),
    /// Stop a submission or a run.
    Cancel(cancel::CancelArguments),
    /// Go on with a run that failed, from its last checkpoint.
    Resume(train::ResumeArguments),
    /// Look at discarded jobs, and give them another life.
    #[command(subcommand)]
    Dead(dead::DeadCommand),
    /// Write embeddings, splits, predictions or weights for other programs.
    #[command(subcommand)]
    Export(export::ExportCommand),
    /// Show the system, or one submission or run.
    Status(status::StatusArguments),
    /// Make and look at datasets.
    #[command(subcommand)]
    Dataset(dataset::DatasetCommand),
    /// Check that everything the system depends on is as it should be.
    Doctor,
    /// Make access tokens.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Show the settings.
    #[command(subcommand)]
    Config(config::ConfigCommand),
}

/// Runs a command to its end and says how to exit.
pub async fn run(arguments: Arguments) -> Exit {
    match execute(arguments).await {
        Ok(exit) => exit,
        Err(error) => {
            output::complain(&error.message);
            error.exit
        }
    }
}

async fn execute(arguments: Arguments) -> Result<Exit, CliError> {
    let Global { url, output } = arguments.global;
    let loaded = Loaded::from_process(&[("url", url)])?;
    let settings = &loaded.settings;
    if let Command::Serve = arguments.command {
        telemetry::install(&loaded)?;
        serve::run(loaded.settings).await.map_err(|error| {
            let exit = if error.is::<ConfigError>() { Exit::BadConfig } else { Exit::Failed };
            CliError::new(exit, format!("{error:#}"))
        })?;
        return Ok(Exit::Done);
    }
    let client = Client::new(settings)?;
    match arguments.command {
        Command::Serve => Ok(Exit::Done),
        Command::Crawl(arguments) => crawl::run(&client, settings, output, *arguments).await,
        Command::Embed(arguments) => embed::run(&client, output, arguments).await,
        Command::Train(arguments) => train::run(&client, output, arguments).await,
        Command::Predict(arguments) => predict::run(&client, output, arguments).await,
        Command::Similar(arguments) => similar::run(&client, output, arguments).await,
        Command::Status(arguments) => status::run(&client, output, arguments).await,
        Command::Runs(arguments) => runs::run(&client, output, arguments).await,
        Command::Jobs(arguments) => jobs::run(&client, output, arguments).await,
        Command::Workers => workers::run(&client, output).await,
        Command::Spaces(command) => spaces::run(&client, output, command).await,
        Command::Cancel(arguments) => cancel::run(&client, output, arguments).await,
        Command::Resume(arguments) => train::resume(&client, output, arguments).await,
        Command::Dead(command) => dead::run(&client, output, command).await,
        Command::Export(command) => export::run(&client, output, command).await,
        Command::Dataset(command) => dataset::run(&settings.images, output, command).await,
        Command::Doctor => doctor::run(&client, output, &loaded).await,
        Command::Token(command) => token::run(output, &command),
        Command::Config(command) => config::run(output, &command, &loaded),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn training_defaults_are_those_of_the_api() {
        let arguments = Arguments::parse_from(["subwatch", "train", "DATASET"]);
        let Command::Train(arguments) = arguments.command else { panic!("another command") };
        let dataset = arguments::dataset_argument("DATASET");
        let default = crate::api::RunRequest { dataset, ..Default::default() };
        assert_eq!(arguments.request(), default);
    }
}
