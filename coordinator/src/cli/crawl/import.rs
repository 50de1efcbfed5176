//! `subwatch crawl import`: a table and a folder of thumbnails that are there already, as a part of a dataset.
//!
//! Owns which file belongs to a row. Everything is on this machine; nothing is asked of a site.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use common::{config::ImageSettings, digest::Digest};
use crawler::{
    import::{BadRow, ImportRow, TableColumns, read_table},
    youtube::named_list::ListFormat,
};
use dataset::{files::Files, imagefolder::MAX_ROW_BYTES, row::Row};
use images::decode::{self, FILE_ENDINGS};
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde::Serialize;
use url::Url;

use crate::cli::{
    exit::{CliError, Exit},
    output::{self, Format, plain},
};

/// Largest table.
const LARGEST_TABLE: u64 = 256 << 20;
/// Rows left out that a table lists.
const LISTED: usize = 20;

#[derive(Args)]
pub(super) struct ImportArguments {
    /// The table: CSV under a line of names, or JSON lines. A column `video_id` or `file_name` says which video it is;
    /// `views`, `subscribers`, `title`, `channel_id`, `channel`, `category` and `published` are known by these and some
    /// usual names; the others are kept as they are.
    table: PathBuf,
    /// The folder of the thumbnails: files that the table names, or `<video id>.jpg`.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// The dataset to write: a folder of this machine; made where it is not there.
    #[arg(long, value_name = "DATASET")]
    out: PathBuf,
}

/// What was imported.
#[derive(Serialize)]
struct Imported {
    dataset: PathBuf,
    part: String,
    rows: usize,
    imported: usize,
    with_views: usize,
    with_subscribers: usize,
    left_out: Vec<LeftOutRow>,
}

/// A row that was not.
#[derive(Serialize)]
struct LeftOutRow {
    line: u64,
    reason: String,
}

pub(super) async fn run(
    settings: &ImageSettings,
    format: Format,
    arguments: ImportArguments,
) -> Result<Exit, CliError> {
    let ImportArguments { table, images, out } = arguments;
    let rows = read(&table)?;
    if !images.is_dir() {
        return Err(CliError::new(Exit::NotFound, format!("there is no folder {}", images.display())));
    }
    std::fs::create_dir_all(&out)
        .map_err(|error| CliError::failed(format!("{} cannot be made: {error}", out.display())))?;
    let folder = out.canonicalize().ok().and_then(|out| Url::from_directory_path(out).ok());
    let folder = folder.ok_or_else(|| CliError::failed(format!("{} makes no URL", out.display())))?;
    let files = Files::open(&folder).map_err(|error| CliError::failed(error.to_string()))?;

    let bar = ProgressBar::with_draw_target(Some(rows.len() as u64), ProgressDrawTarget::stderr());
    let mut lines = Vec::new();
    let (all, mut imported, mut left_out) = (rows.len(), 0, Vec::new());
    let (mut with_views, mut with_subscribers) = (0, 0);
    for row in rows {
        let brought = match row {
            Ok(row) => {
                let line = bring_in(&files, &images, &row, settings.max_image_bytes).await;
                with_views += usize::from(line.is_ok() && row.columns.known.views.is_some());
                with_subscribers += usize::from(line.is_ok() && row.columns.known.subscribers.is_some());
                line.map_err(|reason| LeftOutRow { line: row.line, reason })
            }
            Err(BadRow { line, problem }) => Err(LeftOutRow { line, reason: problem }),
        };
        match brought {
            Ok(row) => {
                lines.extend(row.into_bytes());
                imported += 1;
            }
            Err(row) => left_out.push(row),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if imported == 0 {
        let first =
            left_out.first().map_or_else(String::new, |row| format!(": line {}: {}", row.line, row.reason));
        return Err(CliError::failed(plain(&format!("no row of {} can be used{first}", table.display()))));
    }
    let part = part_name(&table);
    let written = files.write(&part, Bytes::from(lines)).await;
    written.map_err(|error| CliError::failed(error.to_string()))?;
    let exit = if left_out.is_empty() { Exit::Done } else { Exit::FailedItems };
    let report = Imported { dataset: out, part, rows: all, imported, with_views, with_subscribers, left_out };
    match format {
        Format::Table => output::print(&text(&report))?,
        Format::Json | Format::Jsonl => output::print_json(format, &report)?,
    }
    Ok(exit)
}

fn read(table: &Path) -> Result<Vec<Result<ImportRow, BadRow>>, CliError> {
    let shown = table.display();
    let missing = |error| CliError::new(Exit::NotFound, format!("{shown} cannot be read: {error}"));
    let bytes = table.metadata().map_err(missing)?.len();
    if bytes > LARGEST_TABLE {
        return Err(CliError::new(
            Exit::Usage,
            format!("{shown} has {bytes} bytes, over the limit of {LARGEST_TABLE}"),
        ));
    }
    let text = std::fs::read_to_string(table).map_err(missing)?;
    let rows = read_table(&text, ListFormat::of_name(&table.to_string_lossy()));
    rows.map_err(|error| CliError::new(Exit::Usage, plain(&format!("{shown}: {error}"))))
}

/// Copies a row's thumbnail of at most `limit` bytes into the dataset and returns the row's line.
async fn bring_in(files: &Files, images: &Path, row: &ImportRow, limit: u64) -> Result<String, String> {
    let path = image_of(images, row)?;
    let shown = path.display();
    let size = path.metadata().map_err(|error| format!("{shown} cannot be read: {error}"))?.len();
    if size > limit {
        return Err(format!("{shown} has {size} bytes, over the limit of {limit}"));
    }
    let bytes = tokio::fs::read(&path).await.map_err(|error| format!("{shown} cannot be read: {error}"))?;
    if images::missing_thumbnail::is_placeholder(&bytes) {
        return Err(format!("{shown} is the grey picture that stands for a missing thumbnail"));
    }
    let picture = decode::decode(&bytes).map_err(|failure| format!("{shown}: {failure}"))?;
    let ending = path.extension().map_or_else(String::new, |ending| ending.to_string_lossy().to_lowercase());
    let file_name = format!("thumbnails/{}.{ending}", row.video_id);
    let known = Row {
        file_name: file_name.clone(),
        thumbnail_width: Some(picture.width),
        thumbnail_height: Some(picture.height),
        sha256: Some(Digest::of(&bytes)),
        source: Some("import".to_owned()),
        ..row.columns.known.clone()
    };
    let row = TableColumns { known, others: row.columns.others.clone() };
    let line = serde_json::to_string(&row).expect("a row is plain data");
    if line.len() > MAX_ROW_BYTES {
        return Err(format!("the row has {} bytes, over the limit of {MAX_ROW_BYTES}", line.len()));
    }
    files.write(&file_name, Bytes::from(bytes)).await.map_err(|error| error.to_string())?;
    Ok(line + "\n")
}

/// The file that a row names, or that is named after its video.
fn image_of(images: &Path, row: &ImportRow) -> Result<PathBuf, String> {
    let video = &row.video_id;
    let named = match &row.file {
        Some(file) if dataset::files::is_confined(file) => {
            let name = file.rsplit('/').next().unwrap_or(file);
            vec![images.join(file), images.join(name)]
        }
        Some(file) => return Err(format!("'{file}' is no name of a file below the folder")),
        None => FILE_ENDINGS.iter().map(|ending| images.join(format!("{video}.{ending}"))).collect(),
    };
    let has_ending = |path: &PathBuf| {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        ending.is_some_and(|ending| FILE_ENDINGS.contains(&ending.as_str()))
    };
    let found = named.into_iter().find(|path| path.is_file() && has_ending(path));
    found.ok_or_else(|| {
        let of = row.file.clone().unwrap_or_else(|| format!("{video}.jpg"));
        format!("there is no image '{of}' in {}", images.display())
    })
}

/// The part is named after the table, so that importing it again replaces its rows. A name with letters that not
/// every file system takes is told from others by its digest.
fn part_name(table: &Path) -> String {
    const TOLD_BY: usize = 8;
    let stem = table.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let plain: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' }).collect();
    if plain == stem {
        return format!("metadata/import-{plain}.jsonl");
    }
    let digest = Digest::of(stem.as_bytes()).to_string();
    format!("metadata/import-{plain}-{}.jsonl", &digest[..TOLD_BY])
}

fn text(report: &Imported) -> String {
    let mut lines = vec![
        format!(
            "imported    {} of {} rows, {} with views and {} with subscribers",
            report.imported, report.rows, report.with_views, report.with_subscribers
        ),
        format!("dataset     {}, {}", report.dataset.display(), report.part),
    ];
    if !report.left_out.is_empty() {
        lines.push(format!("left out    {}", report.left_out.len()));
        for row in report.left_out.iter().take(LISTED) {
            lines.push(format!("  line {}: {}", row.line, plain(&row.reason)));
        }
        if report.left_out.len() > LISTED {
            lines.push(format!("  … and {} more: use -o json", report.left_out.len() - LISTED));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_named_after_its_table() {
        assert_eq!(part_name(Path::new("/x/2020-fitness.csv")), "metadata/import-2020-fitness.jsonl");
        let spaced = part_name(Path::new("/x/2020 fitness.csv"));
        assert!(
            spaced.starts_with("metadata/import-2020-fitness-") && spaced.ends_with(".jsonl"),
            "{spaced}"
        );
        assert_ne!(part_name(Path::new("먹방.csv")), part_name(Path::new("여행.csv")));
    }
}
