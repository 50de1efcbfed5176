//! `subwatch dataset check`: a report of a dataset, and plots of it.
//!
//! [`dataset::check`] does the inspection; this module writes the plots.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use clap::Args;
use dataset::{
    check::{CheckOptions, DatasetReport, Inspection, inspect, pictures},
    files::Files,
    imagefolder::DatasetError,
    target::Target,
};
use images::encode;
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde::Serialize;
use url::Url;

use super::text;
use crate::cli::{
    arguments::one_of,
    exit::{CliError, Exit},
    output::{self, Format, plain},
};

#[derive(Args)]
pub(in crate::cli) struct CheckArguments {
    /// Dataset: a folder on this machine or an s3:// URL.
    dataset: String,
    /// Target to report labels for.
    #[arg(long, default_value_t = Target::ViewsPerSubscriber, value_parser = one_of::<Target>(Target::ALL.map(Target::name)))]
    target: Target,
    /// Check only the rows, without reading images.
    #[arg(long)]
    rows_only: bool,
    /// Write plots to DIR: labels.png, a histogram of the labels, and thumbnails.png, random thumbnails with their
    /// labels.
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Number of thumbnails in thumbnails.png, at most 500.
    #[arg(long, value_name = "N", default_value_t = 25, requires = "plots")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=500))]
    thumbnails: u32,
    /// Random seed; the same seed selects the same thumbnails.
    #[arg(long, default_value_t = 0, requires = "plots")]
    seed: u64,
}

#[derive(Serialize)]
struct CheckReport<'a> {
    #[serde(flatten)]
    inspection: &'a DatasetReport,
    /// Files that were written.
    plots: Vec<PathBuf>,
}

pub(super) async fn run(
    format: Format,
    max_image_bytes: u64,
    arguments: CheckArguments,
) -> Result<Exit, CliError> {
    let CheckArguments { dataset, target, rows_only, plots, thumbnails, seed } = arguments;
    let files = open(&dataset)?;
    let options = CheckOptions {
        target,
        read_images: !rows_only,
        max_image_bytes,
        thumbnails: if plots.is_some() { thumbnails } else { 0 },
        seed,
        now: SystemTime::now(),
    };
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let progress = |done: u64, total: u64| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let found = inspect(&files, &options, progress).await.map_err(|error| {
        let exit = if matches!(error, DatasetError::Files(_)) { Exit::NotFound } else { Exit::Failed };
        CliError::new(exit, plain(&error.to_string()))
    })?;
    bar.finish_and_clear();
    let plots = match plots {
        Some(folder) => write_plots(&folder, &dataset, target, &found)?,
        None => Vec::new(),
    };
    let inspection = &found.report;
    match format {
        Format::Table | Format::Csv => output::print(&text::report(inspection, !rows_only, &plots))?,
        Format::Json | Format::Jsonl => output::print_json(format, &CheckReport { inspection, plots })?,
    }
    let has_problems = !inspection.problems.is_empty() || !inspection.duplicate_rows.is_empty();
    Ok(if has_problems { Exit::FailedItems } else { Exit::Done })
}

fn open(dataset: &str) -> Result<Files, CliError> {
    let usage = |message: String| CliError::new(Exit::Usage, message);
    let url = if dataset.contains("://") {
        Url::parse(dataset).map_err(|error| usage(format!("'{dataset}' is not a valid URL: {error}")))?
    } else {
        let missing = |error| CliError::new(Exit::NotFound, format!("cannot open folder {dataset}: {error}"));
        let folder = Path::new(dataset).canonicalize().map_err(missing)?;
        Url::from_directory_path(&folder).map_err(|()| usage(format!("'{dataset}' is not a valid path")))?
    };
    Files::open(&url).map_err(|error| usage(error.to_string()))
}

/// Writes the plots and returns their paths.
fn write_plots(
    folder: &Path,
    dataset: &str,
    target: Target,
    found: &Inspection,
) -> Result<Vec<PathBuf>, CliError> {
    let failed = |path: &Path, error| CliError::failed(format!("cannot write {}: {error}", path.display()));
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let mut drawn = vec![("labels.png", pictures::histogram(target, &found.labels))];
    if !found.thumbnails.is_empty() {
        drawn.push(("thumbnails.png", pictures::sheet(target, &found.thumbnails, found.report.items)));
    }
    let mut written = Vec::new();
    for (name, picture) in drawn {
        let path = folder.join(name);
        std::fs::write(&path, encode::png(&picture)).map_err(|error| failed(&path, error))?;
        written.push(path);
    }
    if let (Ok(inner), Ok(outer)) = (folder.canonicalize(), Path::new(dataset).canonicalize())
        && inner.starts_with(outer)
    {
        output::note("warning: the plots are inside the dataset, which now contains them as images");
    }
    Ok(written)
}
