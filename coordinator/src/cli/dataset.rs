//! `subwatch dataset`.

use std::path::PathBuf;

use clap::Subcommand;
use data::{
    check::{Count, Inspection, inspect},
    files::Files,
    imagefolder::DatasetError,
    sample,
    target::Target,
};
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde_json::json;
use url::Url;

use super::{
    exit::{CliError, Exit},
    output::{self, Format, digits, number, plain, table},
};

#[derive(Subcommand)]
pub(super) enum DatasetCommand {
    /// Make a dataset of drawn thumbnails, whose views follow from what can be seen in them.
    Sample {
        /// Folder to make; one that holds something else is left alone.
        folder: PathBuf,
        /// Thumbnails.
        #[arg(long, default_value_t = 600)]
        count: u32,
        /// The same seed makes the same thumbnails.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Say what a dataset holds, what is wrong with it, and what a run would leave out.
    Check {
        /// A folder of this machine, or an s3:// URL.
        dataset: String,
        /// What a run would predict: views-per-subscriber, views or subscribers.
        #[arg(long, default_value_t = Target::ViewsPerSubscriber)]
        target: Target,
        /// Look at the rows alone, and not into every image.
        #[arg(long)]
        rows_only: bool,
    },
}

pub(super) async fn run(format: Format, command: DatasetCommand) -> Result<Exit, CliError> {
    match command {
        DatasetCommand::Sample { folder, count, seed } => sample(format, folder, count, seed).await,
        DatasetCommand::Check { dataset, target, rows_only } => {
            check(format, &dataset, target, !rows_only).await
        }
    }
}

async fn sample(format: Format, folder: PathBuf, count: u32, seed: u64) -> Result<Exit, CliError> {
    let bar = ProgressBar::with_draw_target(Some(u64::from(count)), ProgressDrawTarget::stderr());
    let (shown, target) = (bar.clone(), folder.clone());
    let drawing =
        tokio::task::spawn_blocking(move || sample::generate(&target, count, seed, |_| shown.inc(1)));
    let drawn = drawing.await.map_err(|error| CliError::failed(format!("drawing failed: {error}")))?;
    bar.finish_and_clear();
    drawn.map_err(|error| CliError::failed(error.to_string()))?;
    match format {
        Format::Table => output::print(&format!("{count} thumbnails in {}", folder.display()))?,
        Format::Json | Format::Jsonl => {
            output::print_json(format, &json!({"dataset": folder, "items": count, "seed": seed}))?;
        }
    }
    Ok(Exit::Done)
}

/// Problems that a table lists.
const LISTED: usize = 20;
/// Width of the longest bar of the histogram.
const BAR: u64 = 40;

async fn check(format: Format, dataset: &str, target: Target, images: bool) -> Result<Exit, CliError> {
    let files = open(dataset)?;
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let look = |done: u64, total: u64| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let found = inspect(&files, target, images, look).await.map_err(|error| {
        let exit = if matches!(error, DatasetError::Files(_)) { Exit::NotFound } else { Exit::Failed };
        CliError::new(exit, plain(&error.to_string()))
    })?;
    bar.finish_and_clear();
    match format {
        Format::Table => output::print(&text(&found, images))?,
        Format::Json | Format::Jsonl => output::print_json(format, &found)?,
    }
    let flawed = !found.problems.is_empty() || !found.duplicate_rows.is_empty();
    Ok(if flawed { Exit::FailedItems } else { Exit::Done })
}

fn open(dataset: &str) -> Result<Files, CliError> {
    let usage = |what: String| CliError::new(Exit::Usage, what);
    let url = if dataset.contains("://") {
        Url::parse(dataset).map_err(|error| usage(format!("'{dataset}' is no URL: {error}")))?
    } else {
        let missing = |error| CliError::new(Exit::NotFound, format!("there is no folder {dataset}: {error}"));
        let folder = std::path::Path::new(dataset).canonicalize().map_err(missing)?;
        Url::from_directory_path(&folder).map_err(|()| usage(format!("'{dataset}' makes no URL")))?
    };
    Files::open(&url).map_err(|error| usage(error.to_string()))
}

fn text(found: &Inspection, images: bool) -> String {
    let mut lines = vec![
        format!(
            "rows       {}",
            if found.rows > 0 { found.rows.to_string() } else { "no metadata".to_owned() }
        ),
        format!("items      {} of {} channels", found.items, found.channels),
    ];
    if images {
        lines.push(format!(
            "images     {} readable, {} of them repeat another; {}",
            found.images,
            found.repeated_images,
            counts(&found.sizes)
        ));
    }
    for group in found.equal_images.iter().take(LISTED) {
        lines.push(format!("  same     {}", plain(&group.join(", "))));
    }
    lines.push(format!("left out   {} for the target {}", total(&found.left_out), found.labels.target));
    for count in &found.left_out {
        lines.push(format!("  {:>6}   {}", count.items, plain(&count.what)));
    }
    if !found.problems.is_empty() {
        lines.push(format!("problems   {}", found.problems.len()));
        for problem in found.problems.iter().take(LISTED) {
            lines.push(format!("  {}: {}", plain(&problem.item), plain(&problem.reason)));
        }
        if found.problems.len() > LISTED {
            lines.push(format!("  … and {} more: use -o json", found.problems.len() - LISTED));
        }
    }
    if !found.duplicate_rows.is_empty() {
        lines.push(format!(
            "duplicates {}: the dataset is refused until each stands once",
            found.duplicate_rows.len()
        ));
        for duplicate in found.duplicate_rows.iter().take(LISTED) {
            lines.push(format!("  {}", plain(duplicate)));
        }
    }
    if found.labels.items > 0 {
        lines.push(format!("labels     {} of {}", found.labels.items, found.labels.target));
        lines.push(quantiles(found));
        lines.push(histogram(found));
    }
    lines.join("\n")
}

fn total(counts: &[Count]) -> u64 {
    counts.iter().map(|count| count.items).sum()
}

fn counts(counts: &[Count]) -> String {
    const SHOWN: usize = 4;
    let mut shown: Vec<String> =
        counts.iter().take(SHOWN).map(|count| format!("{} of {}", count.items, count.what)).collect();
    if counts.len() > SHOWN {
        shown.push(format!("{} of other sizes", total(&counts[SHOWN..])));
    }
    shown.join(", ")
}

fn quantiles(found: &Inspection) -> String {
    let headings: Vec<String> =
        found.labels.quantiles.iter().map(|(quantile, _)| format!("{:.0} %›", quantile * 100.0)).collect();
    let mut rows = table(&headings.iter().map(String::as_str).collect::<Vec<_>>());
    rows.add_row(found.labels.quantiles.iter().map(|(_, label)| number(*label)));
    rows.trim_fmt()
}

fn histogram(found: &Inspection) -> String {
    let most = found.labels.histogram.iter().map(|(_, items)| *items).max().unwrap_or(1).max(1);
    let line = |(edge, items): &(f64, u64)| {
        let bar = "█".repeat((items * BAR).div_ceil(most) as usize);
        format!("{:>12} │{bar} {items}", digits(*edge))
    };
    found.labels.histogram.iter().map(line).collect::<Vec<_>>().join("\n")
}
