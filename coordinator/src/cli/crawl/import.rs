//! `subwatch crawl import`: adds a table and a folder of thumbnails to a dataset, without network access.
//!
//! Decides which image file belongs to a row. [`crawler::import`] reads the table.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use common::{config::ImageSettings, digest::Digest};
use crawler::{
    import::{BadRow, ImportRow, TableColumns, read_table},
    youtube::named_list::ListFormat,
};
use dataset::{files::Files, imagefolder::MAX_ROW_BYTES, row::Row};
use images::decode::{self, FILE_EXTENSIONS};
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde::Serialize;
use url::Url;

use crate::cli::{
    exit::{CliError, Exit},
    output::{self, Format, counted, plain},
};

const MAX_TABLE_BYTES: u64 = 256 << 20;
/// Most skipped rows in the text.
const LISTED: usize = 20;

#[derive(Args)]
pub(super) struct ImportArguments {
    /// Table to import: CSV with a header line, or JSON Lines.
    ///
    /// A column `video_id`, `url` or `file_name` identifies the video. `views`, `subscribers`, `title`, `channel_id`,
    /// `channel`, `category` and `published` are recognised by these and other common names; other columns are copied.
    table: PathBuf,
    /// Folder of the thumbnails: the files that the table names, or `<video id>.jpg`.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Dataset to write: a folder on this machine, created if it does not exist.
    #[arg(long, value_name = "DATASET")]
    out: PathBuf,
}

#[derive(Serialize)]
struct ImportReport {
    dataset: PathBuf,
    part: String,
    rows: usize,
    imported: usize,
    with_views: usize,
    with_subscribers: usize,
    skipped: Vec<SkippedRow>,
}

#[derive(Serialize)]
struct SkippedRow {
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
        return Err(CliError::new(Exit::NotFound, format!("folder {} does not exist", images.display())));
    }
    std::fs::create_dir_all(&out)
        .map_err(|error| CliError::failed(format!("cannot create {}: {error}", out.display())))?;
    let folder = out.canonicalize().ok().and_then(|out| Url::from_directory_path(out).ok());
    let folder = folder.ok_or_else(|| CliError::failed(format!("{} is not a valid path", out.display())))?;
    let files = Files::open(&folder).map_err(|error| CliError::failed(error.to_string()))?;

    let bar = ProgressBar::with_draw_target(Some(rows.len() as u64), ProgressDrawTarget::stderr());
    let mut lines = Vec::new();
    let (total, mut imported, mut skipped) = (rows.len(), 0, Vec::new());
    let (mut with_views, mut with_subscribers) = (0, 0);
    for row in rows {
        let result = match row {
            Ok(row) => {
                let line = import_row(&files, &images, &row, settings.max_image_bytes).await;
                with_views += usize::from(line.is_ok() && row.columns.known.views.is_some());
                with_subscribers += usize::from(line.is_ok() && row.columns.known.subscribers.is_some());
                line.map_err(|reason| SkippedRow { line: row.line, reason })
            }
            Err(BadRow { line, problem }) => Err(SkippedRow { line, reason: problem }),
        };
        match result {
            Ok(row) => {
                lines.extend(row.into_bytes());
                imported += 1;
            }
            Err(row) => skipped.push(row),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if imported == 0 {
        let first =
            skipped.first().map_or_else(String::new, |row| format!(": line {}: {}", row.line, row.reason));
        return Err(CliError::failed(plain(&format!("no usable rows in {}{first}", table.display()))));
    }
    let part = part_name(&table);
    let written = files.write(&part, Bytes::from(lines)).await;
    written.map_err(|error| CliError::failed(error.to_string()))?;
    let exit = if skipped.is_empty() { Exit::Done } else { Exit::FailedItems };
    let report =
        ImportReport { dataset: out, part, rows: total, imported, with_views, with_subscribers, skipped };
    match format {
        Format::Table | Format::Csv => output::print(&text(&report))?,
        Format::Json | Format::Jsonl => output::print_json(format, &report)?,
    }
    Ok(exit)
}

fn read(table: &Path) -> Result<Vec<Result<ImportRow, BadRow>>, CliError> {
    let shown = table.display();
    let unreadable = |error| CliError::new(Exit::NotFound, format!("cannot read {shown}: {error}"));
    let bytes = table.metadata().map_err(unreadable)?.len();
    if bytes > MAX_TABLE_BYTES {
        return Err(CliError::new(
            Exit::Usage,
            format!("{shown} has {bytes} bytes, which exceeds the limit of {MAX_TABLE_BYTES}"),
        ));
    }
    let text = std::fs::read_to_string(table).map_err(unreadable)?;
    let rows = read_table(&text, ListFormat::from_file_name(&table.to_string_lossy()));
    rows.map_err(|error| CliError::new(Exit::Usage, plain(&format!("{shown}: {error}"))))
}

/// Copies the thumbnail of a row, of at most `limit` bytes, into the dataset and returns the row as a line of metadata.
async fn import_row(files: &Files, images: &Path, row: &ImportRow, limit: u64) -> Result<String, String> {
    let path = find_image(images, row)?;
    let shown = path.display();
    let size = path.metadata().map_err(|error| format!("cannot read {shown}: {error}"))?.len();
    if size > limit {
        return Err(format!("{shown} has {size} bytes, which exceeds the limit of {limit}"));
    }
    let bytes = tokio::fs::read(&path).await.map_err(|error| format!("cannot read {shown}: {error}"))?;
    if images::missing_thumbnail::is_placeholder(&bytes) {
        return Err(format!("{shown} is YouTube's grey placeholder for a missing thumbnail"));
    }
    let picture = decode::decode(&bytes).map_err(|failure| format!("{shown}: {failure}"))?;
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let file_name = format!("thumbnails/{}.{extension}", row.video_id);
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
        return Err(format!("the row has {} bytes, which exceeds the limit of {MAX_ROW_BYTES}", line.len()));
    }
    files.write(&file_name, Bytes::from(bytes)).await.map_err(|error| error.to_string())?;
    Ok(line + "\n")
}

/// Finds the image of a row: the file that it names, or one named after its video.
fn find_image(images: &Path, row: &ImportRow) -> Result<PathBuf, String> {
    let video = &row.video_id;
    let candidates = match &row.file {
        Some(file) if dataset::files::is_confined(file) => {
            let name = file.rsplit('/').next().unwrap_or(file);
            vec![images.join(file), images.join(name)]
        }
        Some(file) => return Err(format!("'{file}' is outside the folder")),
        None => FILE_EXTENSIONS.iter().map(|extension| images.join(format!("{video}.{extension}"))).collect(),
    };
    let is_image = |path: &PathBuf| {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        extension.is_some_and(|extension| FILE_EXTENSIONS.contains(&extension.as_str()))
    };
    let image = candidates.into_iter().find(|path| path.is_file() && is_image(path));
    image.ok_or_else(|| {
        let name = row.file.clone().unwrap_or_else(|| format!("{video}.jpg"));
        format!("image '{name}' not found in {}", images.display())
    })
}

/// Names the metadata file after the table, so that importing it again replaces its rows. If characters had to be
/// replaced, a digest keeps the name unique.
fn part_name(table: &Path) -> String {
    const DIGEST_DIGITS: usize = 8;
    let stem = table.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let plain: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' }).collect();
    if plain == stem {
        return format!("metadata/import-{plain}.jsonl");
    }
    let digest = Digest::of(stem.as_bytes()).to_string();
    format!("metadata/import-{plain}-{}.jsonl", &digest[..DIGEST_DIGITS])
}

fn text(report: &ImportReport) -> String {
    let mut lines = vec![
        format!(
            "imported    {} of {} rows, {} with views, {} with subscribers",
            report.imported, report.rows, report.with_views, report.with_subscribers
        ),
        format!("dataset     {}, {}", report.dataset.display(), report.part),
    ];
    if !report.skipped.is_empty() {
        lines.push(format!("skipped     {}", counted(report.skipped.len() as u64, "row")));
        for row in report.skipped.iter().take(LISTED) {
            lines.push(format!("  line {}: {}", row.line, plain(&row.reason)));
        }
        if report.skipped.len() > LISTED {
            lines.push(format!("  … and {} more: use -o json", report.skipped.len() - LISTED));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_file_is_named_after_the_table() {
        assert_eq!(part_name(Path::new("/x/2020-fitness.csv")), "metadata/import-2020-fitness.jsonl");
        let spaced = part_name(Path::new("/x/2020 fitness.csv"));
        assert!(
            spaced.starts_with("metadata/import-2020-fitness-") && spaced.ends_with(".jsonl"),
            "{spaced}"
        );
        assert_ne!(part_name(Path::new("먹방.csv")), part_name(Path::new("여행.csv")));
    }
}
