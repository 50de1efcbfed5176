//! `subwatch dataset check`: what a dataset holds, and pictures of it.
//!
//! Owns where pictures are written: nowhere unless a folder is named. Does not own what is looked at (see
//! [`dataset::check`]).

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use clap::Args;
use dataset::{
    check::{Inspected, Inspection, Look, inspect, pictures},
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
    exit::{CliError, Exit},
    output::{self, Format, plain},
};

#[derive(Args)]
pub(in crate::cli) struct CheckArguments {
    /// A folder of this machine, or an s3:// URL.
    dataset: String,
    /// What a run would predict: views-per-subscriber, views or subscribers.
    #[arg(long, default_value_t = Target::ViewsPerSubscriber)]
    target: Target,
    /// Look at the rows alone, and not into every image.
    #[arg(long)]
    rows_only: bool,
    /// Folder to write pictures to, made where it is not there: labels.png, how labels are distributed, and
    /// thumbnails.png, some thumbnails with their labels.
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// Thumbnails in that picture.
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=500), requires = "pictures")]
    thumbnails: u32,
    /// The same seed draws the same thumbnails.
    #[arg(long, default_value_t = 0, requires = "pictures")]
    seed: u64,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct PrintedCheck<'a> {
    #[serde(flatten)]
    inspection: &'a Inspection,
    /// Files that were written.
    pictures: Vec<PathBuf>,
}

pub(super) async fn run(
    format: Format,
    max_image_bytes: u64,
    arguments: CheckArguments,
) -> Result<Exit, CliError> {
    let CheckArguments { dataset, target, rows_only, pictures, thumbnails, seed } = arguments;
    let files = open(&dataset)?;
    let look = Look {
        target,
        images: !rows_only,
        max_image_bytes,
        thumbnails: if pictures.is_some() { thumbnails } else { 0 },
        seed,
        now: SystemTime::now(),
    };
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let progress = |done: u64, total: u64| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let found = inspect(&files, &look, progress).await.map_err(|error| {
        let exit = if matches!(error, DatasetError::Files(_)) { Exit::NotFound } else { Exit::Failed };
        CliError::new(exit, plain(&error.to_string()))
    })?;
    bar.finish_and_clear();
    let pictures = match pictures {
        Some(folder) => write_pictures(&folder, &dataset, target, &found)?,
        None => Vec::new(),
    };
    let inspection = &found.report;
    match format {
        Format::Table => output::print(&text::of(inspection, !rows_only, &pictures))?,
        Format::Json | Format::Jsonl => output::print_json(format, &PrintedCheck { inspection, pictures })?,
    }
    let flawed = !inspection.problems.is_empty() || !inspection.duplicate_rows.is_empty();
    Ok(if flawed { Exit::FailedItems } else { Exit::Done })
}

fn open(dataset: &str) -> Result<Files, CliError> {
    let usage = |what: String| CliError::new(Exit::Usage, what);
    let url = if dataset.contains("://") {
        Url::parse(dataset).map_err(|error| usage(format!("'{dataset}' is no URL: {error}")))?
    } else {
        let missing = |error| CliError::new(Exit::NotFound, format!("there is no folder {dataset}: {error}"));
        let folder = Path::new(dataset).canonicalize().map_err(missing)?;
        Url::from_directory_path(&folder).map_err(|()| usage(format!("'{dataset}' makes no URL")))?
    };
    Files::open(&url).map_err(|error| usage(error.to_string()))
}

/// Writes the pictures and returns their paths.
fn write_pictures(
    folder: &Path,
    dataset: &str,
    target: Target,
    found: &Inspected,
) -> Result<Vec<PathBuf>, CliError> {
    let failed =
        |path: &Path, error| CliError::failed(format!("{} cannot be written: {error}", path.display()));
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
        output::note(
            "the pictures lie in the dataset itself, and are from now on images of it like any other",
        );
    }
    Ok(written)
}
