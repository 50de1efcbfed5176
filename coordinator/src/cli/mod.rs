//! The command line: a client of the HTTP API; `subwatch serve` starts the server.
//!
//! Owns the commands, their output and their exit codes. Data goes to standard output, everything else to
//! standard error.
//!
//! Each command has a file or folder of its name. They share `client` (API calls), `arguments`, `images` (uploads),
//! `follow` and `progress` (waiting), `output`, `table` and `json_array` (printing) and `exit`.

mod arguments;
mod cancel;
mod client;
mod config;
mod crawl;
mod dataset;
mod dead_letters;
mod delete;
mod doctor;
mod embed;
mod exit;
mod export;
mod follow;
mod images;
mod import;
mod jobs;
mod json_array;
mod manual;
mod output;
mod predict;
mod progress;
mod runs;
mod similar;
mod spaces;
mod status;
mod table;
mod token;
mod train;
mod uploads;
mod wait;
mod workers;

use ::dataset::files::{confinement::allow_links_to, roots::DatasetRoots};
use clap::{Args, CommandFactory, Parser, Subcommand};
use common::{
    config::{ConfigError, Loaded},
    logging,
};
use tokio::runtime::Runtime;

pub use self::exit::Exit;
use self::{arguments::IdArguments, client::Client, exit::CliError, output::Format};
use crate::server::serve;

/// Predicts from YouTube thumbnails how their videos will do, and finds similar thumbnails.
///
/// Start the system with `make up`, then try in the same folder:
///
///   subwatch dataset sample sample --count 600 --seed 0
///   subwatch embed sample
///   subwatch train sample
///   subwatch predict sample/thumbnails/s0-00000*.jpg
///   subwatch similar sample/thumbnails/s0-000000.jpg
#[derive(Parser)]
#[command(name = "subwatch", version, verbatim_doc_comment)]
pub struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every command accepts.
#[derive(Args)]
struct Global {
    /// URL of the coordinator [env: SUBWATCH_URL] [default: http://127.0.0.1:8470].
    #[arg(long, global = true, help_heading = "Global options")]
    url: Option<String>,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", global = true, value_enum, default_value = "table")]
    #[arg(help_heading = "Global options")]
    output: Format,
}

#[derive(Subcommand)]
enum Command {
    /// Run the coordinator.
    Serve,
    /// Crawl channels or videos into a dataset.
    Crawl(Box<crawl::CrawlArguments>),
    /// Embed the images of a dataset.
    Embed(embed::EmbedArguments),
    /// Train a model on a dataset, embedding its images first if needed.
    Train(train::TrainArguments),
    /// Predict from thumbnails how their videos will do.
    Predict(predict::PredictArguments),
    /// Find the embedded images that are most similar to an image.
    Similar(similar::SimilarArguments),
    /// List training runs, or compare two.
    Runs(runs::RunsArguments),
    /// List the jobs of a submission, or of all unfinished submissions.
    Jobs(jobs::JobsArguments),
    /// List workers.
    Workers,
    /// List or drop embedding spaces.
    #[command(subcommand)]
    Spaces(spaces::SpacesCommand),
    /// Wait for a submission or run, and print its result.
    Wait(wait::WaitCommand),
    /// Delete uploaded images.
    #[command(subcommand)]
    Uploads(uploads::UploadsCommand),
    /// Cancel a submission or run.
    Cancel(IdArguments),
    /// Delete ended submissions and runs, to free memory in Redis.
    Delete(delete::DeleteArguments),
    /// Resume a failed or cancelled run from its last checkpoint.
    Resume(train::ResumeArguments),
    /// List, requeue or purge dead letters: jobs that were discarded.
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLetterCommand),
    /// Export embeddings, splits, predictions, weights or a space.
    #[command(subcommand)]
    Export(export::ExportCommand),
    /// Import a space that was exported.
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// Show the status of the system, a submission or a run.
    Status(status::StatusArguments),
    /// Generate a sample dataset, or check a dataset.
    #[command(subcommand)]
    Dataset(dataset::DatasetCommand),
    /// Check RabbitMQ, Redis, storage, workers and settings.
    Doctor,
    /// Print a script that completes commands in a shell.
    Completions(manual::CompletionsArguments),
    /// Write the manual pages of all commands.
    Man(manual::ManArguments),
    /// Create access tokens.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Show the settings.
    #[command(subcommand)]
    Config(config::ConfigCommand),
}

/// Runs a command, and prints its error if it fails.
///
/// A future is compiled by the crate that polls it first. Because this function polls it, the coordinator is compiled
/// once, in the library, and not a second time in the binary.
pub fn run_on(runtime: &Runtime, arguments: Arguments) -> Exit {
    runtime.block_on(run(arguments))
}

async fn run(arguments: Arguments) -> Exit {
    match execute(arguments).await {
        Ok(exit) => exit,
        Err(error) => {
            output::print_error(&error.message);
            error.exit
        }
    }
}

async fn execute(arguments: Arguments) -> Result<Exit, CliError> {
    let Global { url, output } = arguments.global;
    match &arguments.command {
        // They need no settings, which may be invalid.
        Command::Completions(arguments) => {
            return manual::completions(<Arguments as CommandFactory>::command(), arguments);
        }
        Command::Man(arguments) => {
            return manual::pages(<Arguments as CommandFactory>::command(), arguments);
        }
        _ => {}
    }
    let loaded = Loaded::from_process(&[("url", url)])?;
    let settings = &loaded.settings;
    if let Command::Serve = arguments.command {
        logging::install(&loaded)?;
        serve::run(loaded.settings).await.map_err(|error| {
            let exit = if error.is::<ConfigError>() { Exit::BadConfig } else { Exit::Failed };
            CliError::new(exit, format!("{error:#}"))
        })?;
        return Ok(Exit::Done);
    }
    // Links in folders of this machine are followed as the coordinator follows them.
    if let Some(Ok(roots)) = settings.data.dataset_roots.as_deref().map(DatasetRoots::parse) {
        allow_links_to(roots);
    }
    require_csv(&arguments.command, output)?;
    let client = Client::new(settings)?;
    match arguments.command {
        Command::Serve | Command::Completions(_) | Command::Man(_) => Ok(Exit::Done),
        Command::Crawl(arguments) => crawl::run(&client, settings, output, *arguments).await,
        Command::Embed(arguments) => embed::run(&client, output, arguments).await,
        Command::Train(arguments) => train::run(&client, output, arguments).await,
        Command::Predict(arguments) => predict::run(&client, output, arguments).await,
        Command::Similar(arguments) => similar::run(&client, output, arguments).await,
        Command::Status(arguments) => status::run(&client, output, arguments).await,
        Command::Runs(arguments) => runs::run(&client, output, arguments).await,
        Command::Jobs(arguments) => jobs::run(&client, output, arguments).await,
        Command::Workers => workers::run(&client, output).await,
        Command::Uploads(command) => uploads::run(&client, output, command).await,
        Command::Spaces(command) => spaces::run(&client, output, command).await,
        Command::Wait(arguments) => wait::run(&client, output, arguments).await,
        Command::Cancel(arguments) => cancel::run(&client, output, arguments).await,
        Command::Delete(arguments) => delete::run(&client, output, arguments).await,
        Command::Resume(arguments) => train::resume(&client, output, arguments).await,
        Command::DeadLetters(command) => dead_letters::run(&client, output, command).await,
        Command::Export(command) => export::run(&client, output, command).await,
        Command::Import(command) => import::run(&client, output, command).await,
        Command::Dataset(command) => dataset::run(&settings.images, output, command).await,
        Command::Doctor => doctor::run(&client, output, &loaded).await,
        Command::Token(command) => token::run(output, &command),
        Command::Config(command) => config::run(output, &command, &loaded),
    }
}

/// Refuses CSV for commands whose output is not a list of rows.
fn require_csv(command: &Command, output: Format) -> Result<(), CliError> {
    let has_rows = matches!(command, Command::Predict(_) | Command::Runs(_) | Command::Export(_));
    match output {
        Format::Csv if !has_rows => Err(CliError::new(
            Exit::Usage,
            "-o csv is for `predict`, `runs` and `export`; this command has -o json",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn training_defaults_match_the_api() {
        let arguments = Arguments::parse_from(["subwatch", "train", "DATASET"]);
        let Command::Train(arguments) = arguments.command else { panic!("not the train command") };
        let dataset = arguments::dataset_argument("DATASET");
        let default = crate::api::RunRequest { dataset, ..Default::default() };
        assert_eq!(arguments.request(), default);
    }
}
