//! `subwatch dataset`: commands that run on this machine, without a coordinator.

mod check;
mod text;

use std::path::PathBuf;

use clap::Subcommand;
use common::config::ImageSettings;
use dataset::sample;
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde_json::json;

use self::check::CheckArguments;
use super::{
    exit::{CliError, Exit},
    output::{self, Format, counted},
};

#[derive(Subcommand)]
pub(super) enum DatasetCommand {
    /// Generate a sample dataset of synthetic thumbnails; the views of each depend on what it shows.
    Sample {
        /// Folder to write; it must be empty or not exist.
        folder: PathBuf,
        /// Number of thumbnails.
        #[arg(long, value_name = "N", default_value_t = 600)]
        count: u32,
        /// Random seed; the same seed draws the same thumbnails.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Check a dataset: report its contents, its problems, and what a run would skip.
    Check(CheckArguments),
}

pub(super) async fn run(
    settings: &ImageSettings,
    format: Format,
    command: DatasetCommand,
) -> Result<Exit, CliError> {
    match command {
        DatasetCommand::Sample { folder, count, seed } => sample(format, folder, count, seed).await,
        DatasetCommand::Check(arguments) => check::run(format, settings.max_image_bytes, arguments).await,
    }
}

async fn sample(format: Format, folder: PathBuf, count: u32, seed: u64) -> Result<Exit, CliError> {
    let bar = ProgressBar::with_draw_target(Some(u64::from(count)), ProgressDrawTarget::stderr());
    let (progress, target) = (bar.clone(), folder.clone());
    let drawing =
        tokio::task::spawn_blocking(move || sample::generate(&target, count, seed, |_| progress.inc(1)));
    let drawn = drawing.await.map_err(|error| CliError::failed(format!("drawing failed: {error}")))?;
    bar.finish_and_clear();
    drawn.map_err(|error| CliError::failed(error.to_string()))?;
    match format {
        Format::Table | Format::Csv => {
            output::print(&format!("wrote {} to {}", counted(count.into(), "thumbnail"), folder.display()))?;
        }
        Format::Json | Format::Jsonl => {
            output::print_json(format, &json!({"dataset": folder, "items": count, "seed": seed}))?;
        }
    }
    Ok(Exit::Done)
}
