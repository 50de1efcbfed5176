//! `subwatch crawl import`: adds a table and a folder of thumbnails to a dataset, without network access.
//!
//! Decides which image file belongs to a row. [`crawler::import`] reads the table.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use clap::Args;
use common::{config::ImageSettings, digest::Digest};
use crawler::{
    import::{BadRow, ImportRow, ImportTable, NotCopied, TableColumns, read_table},
    table::{TableFormat, decode},
};
use dataset::{
    files::Files,
    imagefolder::{MAX_ROW_BYTES, other_spellings},
    metadata,
    row::Row,
};
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
    /// Table to import: CSV with a header line, or JSON.
    ///
    /// A column `video_id`, `url` or `file_name` identifies the video. `views`, `subscribers`, `title`, `channel_id`,
    /// `channel`, `category` and `published` are recognised by these and other common names, such as those of yt-dlp
    /// and the YouTube Data API; other columns are copied. Of several rows of a video, the one with the most views
    /// counts.
    table: PathBuf,
    /// Folder of the thumbnails: the files that the table names, or `<video id>.jpg` (or .png, .webp, …) if it names
    /// none.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Dataset to write: a folder on this machine, created if it does not exist.
    #[arg(long, value_name = "DATASET")]
    out: PathBuf,
}

#[derive(Serialize)]
struct ImportReport {
    dataset: PathBuf,
    /// `None` if no row was imported.
    part: Option<String>,
    rows: usize,
    imported: usize,
    with_views: usize,
    with_subscribers: usize,
    skipped: Vec<SkippedRow>,
    /// Lines of further rows of videos that are imported from another row.
    repeated_lines: Vec<u64>,
    #[serde(flatten)]
    not_copied: NotCopied,
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
    let ImportTable { rows, repeated_lines, not_copied } = read(&table)?;
    if !images.is_dir() {
        return Err(CliError::new(Exit::NotFound, format!("folder {} does not exist", images.display())));
    }
    require_writable(&out).await?;
    // Created with the first usable row, so that a failed import leaves no folder behind.
    let mut files = None;

    let bar = ProgressBar::with_draw_target(Some(rows.len() as u64), ProgressDrawTarget::stderr());
    let mut lines = Vec::new();
    let (total, mut imported, mut skipped) = (rows.len(), 0, Vec::new());
    let (mut with_views, mut with_subscribers) = (0, 0);
    for row in rows {
        let result = match row {
            Ok(row) => {
                let line = match usable_row(&images, &row, settings.max_image_bytes).await {
                    Ok(row) => {
                        let files = match &mut files {
                            Some(files) => files,
                            none => none.insert(create(&out)?),
                        };
                        let written = files.write(&row.file_name, Bytes::from(row.image)).await;
                        written.map(|()| row.line).map_err(|error| error.to_string())
                    }
                    Err(reason) => Err(reason),
                };
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
    let part = part_name(&table);
    if let Some(files) = &files {
        write_rows(files, &part, Bytes::from(lines)).await?;
    }
    let exit = if skipped.is_empty() { Exit::Done } else { Exit::FailedItems };
    let report = ImportReport {
        dataset: out,
        part: (imported > 0).then_some(part),
        rows: total + repeated_lines.len(),
        imported,
        with_views,
        with_subscribers,
        skipped,
        repeated_lines,
        not_copied,
    };
    match format {
        Format::Table | Format::Csv => output::print(&text(&report))?,
        Format::Json | Format::Jsonl => output::print_json(format, &report)?,
    }
    if imported == 0 {
        return Err(CliError::failed(plain(&format!("no usable rows in {}", table.display()))));
    }
    Ok(exit)
}

/// Creates and opens the dataset.
fn create(out: &Path) -> Result<Files, CliError> {
    std::fs::create_dir_all(out)
        .map_err(|error| CliError::failed(format!("cannot create {}: {error}", out.display())))?;
    let folder = out.canonicalize().ok().and_then(|out| Url::from_directory_path(out).ok());
    let folder = folder.ok_or_else(|| CliError::failed(format!("{} is not a valid path", out.display())))?;
    Files::open(&folder).map_err(|error| CliError::failed(error.to_string()))
}

fn read(table: &Path) -> Result<ImportTable, CliError> {
    let shown = table.display();
    let usage = |problem: String| CliError::new(Exit::Usage, plain(&format!("{shown}: {problem}")));
    let unreadable = |error: io::Error| {
        let exit = if error.kind() == ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
        CliError::new(exit, format!("cannot read {shown}: {error}"))
    };
    let metadata = table.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(usage("a folder; name a table".to_owned()));
    }
    if metadata.len() > MAX_TABLE_BYTES {
        let bytes = metadata.len();
        return Err(usage(format!("it has {bytes} bytes, which exceeds the limit of {MAX_TABLE_BYTES}")));
    }
    let bytes = std::fs::read(table).map_err(unreadable)?;
    let text = decode(&bytes).map_err(|error| usage(error.with_command(&shown.to_string())))?;
    let format = TableFormat::from_file_name(&table.to_string_lossy())
        .ok_or_else(|| usage("the table must be a .csv, .tsv, .json or .jsonl file".to_owned()))?;
    read_table(&text, format).map_err(usage)
}

/// A row that can be written.
struct UsableRow {
    /// Of the image, in the dataset.
    file_name: String,
    image: Vec<u8>,
    /// The row as a line of metadata.
    line: String,
}

/// Reads the image of a row, of at most `limit` bytes, and completes the row with it.
async fn usable_row(images: &Path, row: &ImportRow, limit: u64) -> Result<UsableRow, String> {
    let path = find_image(images, row)?;
    let shown = path.display();
    let size = path.metadata().map_err(|error| format!("cannot read {shown}: {error}"))?.len();
    if size > limit {
        return Err(format!("{shown} has {size} bytes, which exceeds the limit of {limit}"));
    }
    let image = tokio::fs::read(&path).await.map_err(|error| format!("cannot read {shown}: {error}"))?;
    if images::missing_thumbnail::is_placeholder(&image) {
        return Err(format!("{shown} is YouTube's grey placeholder for a missing thumbnail"));
    }
    let picture = decode::decode(&image).map_err(|failure| format!("{shown}: {failure}"))?;
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let file_name = format!("thumbnails/{}.{extension}", row.file_stem());
    let known = Row {
        file_name: file_name.clone(),
        thumbnail_width: Some(picture.width),
        thumbnail_height: Some(picture.height),
        sha256: Some(Digest::of(&image)),
        source: Some("import".to_owned()),
        ..row.columns.known.clone()
    };
    let row = TableColumns { known, others: row.columns.others.clone() };
    let line = serde_json::to_string(&row).expect("a row is plain data");
    if line.len() > MAX_ROW_BYTES {
        return Err(format!("the row has {} bytes, which exceeds the limit of {MAX_ROW_BYTES}", line.len()));
    }
    Ok(UsableRow { file_name, image, line: line + "\n" })
}

/// Finds the image of a row: the file that it names and no other, or, if it names none, the one named after its video.
fn find_image(images: &Path, row: &ImportRow) -> Result<PathBuf, String> {
    let not_found = |name: &str| format!("image '{name}' not found in {}", images.display());
    let Some(file) = &row.file else {
        let video = &row.video_id;
        let names =
            FILE_EXTENSIONS.iter().flat_map(|extension| [(*extension).to_owned(), extension.to_uppercase()]);
        let mut names = names.map(|extension| format!("{video}.{extension}"));
        let found = names.find(|name| dataset::files::is_confined(name) && images.join(name).is_file());
        return found.map(|name| images.join(name)).ok_or_else(|| not_found(&format!("{video}.jpg")));
    };
    let others = other_spellings("", file);
    let name = others.iter().find(|other| !images.join(file).is_file() && images.join(other).is_file());
    let name = name.unwrap_or(file);
    let name = name.strip_prefix("./").unwrap_or(name);
    if !dataset::files::is_confined(name) {
        return Err(format!("'{file}' is outside the folder"));
    }
    let path = images.join(name);
    if !path.is_file() {
        return Err(not_found(file));
    }
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    if extension.is_some_and(|extension| FILE_EXTENSIONS.contains(&extension.as_str())) {
        Ok(path)
    } else {
        Err(format!("'{file}' does not have the extension of an image: {}", FILE_EXTENSIONS.join(", ")))
    }
}

/// Refuses a dataset to which rows cannot be added, before images are copied.
async fn require_writable(out: &Path) -> Result<(), CliError> {
    let folder = std::path::absolute(out).ok().and_then(|out| Url::from_directory_path(out).ok());
    let Some(Ok(files)) = folder.map(|folder| Files::open(&folder)) else { return Ok(()) };
    let writable = metadata::require_writable(&files).await;
    writable.map_err(|error| CliError::new(Exit::Usage, plain(&format!("{}: {error}", out.display()))))
}

/// Replaces the table's rows in the dataset's metadata.
async fn write_rows(files: &Files, part: &str, rows: Bytes) -> Result<(), CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::failed(plain(&error.to_string()));
    let file = metadata::part_file(part);
    files.write(&file, rows).await.map_err(|error| failed(&error))?;
    let merged = metadata::merge(files, &[part.to_owned()]).await.map_err(|error| failed(&error))?;
    if merged.left_out > 0 {
        let rows = counted(merged.left_out, "row");
        output::note(&format!("left out {rows}: the dataset has other images of these videos"));
    }
    if merged.replaced > 0 {
        output::note(&format!("replaced {} of the same images", counted(merged.replaced, "earlier row")));
    }
    files.remove(&file).await.map_err(|error| failed(&error))
}

/// Names the part of the metadata after the table, so that importing it again replaces its rows. If characters had to be
/// replaced, a digest keeps the name unique.
fn part_name(table: &Path) -> String {
    const DIGEST_DIGITS: usize = 8;
    let stem = table.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let plain: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' }).collect();
    if plain == stem {
        return format!("import-{plain}");
    }
    let digest = Digest::of(stem.as_bytes()).to_string();
    format!("import-{plain}-{}", &digest[..DIGEST_DIGITS])
}

fn text(report: &ImportReport) -> String {
    let mut lines = vec![
        format!(
            "imported    {} of {} rows, {} with views, {} with subscribers",
            report.imported, report.rows, report.with_views, report.with_subscribers
        ),
        match &report.part {
            Some(part) => format!("dataset     {}, part {part}", report.dataset.display()),
            None => "dataset     not written".to_owned(),
        },
    ];
    if !report.repeated_lines.is_empty() {
        let repeated = counted(report.repeated_lines.len() as u64, "further row");
        lines.push(format!("repeated    {repeated} of these videos: the row with the most views counts"));
    }
    let NotCopied { nested_columns, reserved_columns } = &report.not_copied;
    for (what, columns) in
        [("with objects", nested_columns), ("that the import writes itself", reserved_columns)]
    {
        if !columns.is_empty() {
            let names: Vec<&str> = columns.iter().map(String::as_str).collect();
            lines.push(format!("not copied  columns {what}: {}", plain(&names.join(", "))));
        }
    }
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
        assert_eq!(part_name(Path::new("/x/2020-fitness.csv")), "import-2020-fitness");
        let spaced = part_name(Path::new("/x/2020 fitness.csv"));
        assert!(
            spaced.starts_with("import-2020-fitness-") && spaced.len() == "import-2020-fitness-".len() + 8,
            "{spaced}"
        );
        assert_ne!(part_name(Path::new("먹방.csv")), part_name(Path::new("여행.csv")));
    }
}
