//! `metadata.jsonl` as crawls and imports write it.
//!
//! A *part* is the rows of one source: a channel, a slice of a list of videos, or an imported table. It is written
//! whole, to a hidden file that readers of the dataset ignore ([`part_file`]), and each of its rows names it in the
//! column `part`. [`merge`] then rewrites `metadata.jsonl`: the rows of these parts are replaced, and so is an older
//! row of the same image. All other rows stay; a new row whose video has a row of another image is left out, since a
//! dataset may not name a video twice. Merging the same parts again gives the same bytes.
//!
//! `datasets` and pandas infer the columns from the first rows, so those that show a column's type come first (see
//! `schema`). Invariants: `metadata.jsonl` is replaced atomically, and by one process at a time if it is in a folder.
//! In a bucket, merges of one process wait for each other.

mod foreign;
mod rows;
mod schema;

use std::{
    collections::{BTreeSet, HashSet},
    io::{BufWriter, Write},
    time::Duration,
};

use serde_json::Value;
use tempfile::NamedTempFile;

pub use self::{
    foreign::{Foreign, foreign_images},
    rows::MergeError,
};
use self::{
    rows::{IMPORT, MAX_FILE_BYTES, METADATA, RawRow, RowReader},
    schema::Schema,
};
use crate::{
    digest_map::DigestMap,
    files::{Files, FilesError, Found},
};

/// Metadata in formats that are not written, and that `datasets` refuses beside `metadata.jsonl`.
const OTHER_FORMATS: [&str; 2] = ["metadata.csv", "metadata.parquet"];
/// Where earlier versions wrote parts.
const LEGACY_FOLDER: &str = "metadata";
const LOCK: &str = ".subwatch/metadata.lock";
/// A merge takes seconds, even of millions of rows.
const LOCK_LIMIT: Duration = Duration::from_mins(2);

/// Merges in buckets, which have no locks.
static MERGING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Path of the rows of a part, relative to the dataset.
#[must_use]
pub fn part_file(part: &str) -> String {
    format!(".subwatch/parts/{part}.jsonl")
}

/// Path of the rows of a part in datasets of earlier versions.
#[must_use]
pub fn legacy_file(part: &str) -> String {
    format!("{LEGACY_FOLDER}/{part}.jsonl")
}

/// What [`merge`] wrote.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Merged {
    /// All rows of `metadata.jsonl`.
    pub rows: u64,
    /// Rows of other parts, or of no part, whose image has a row in these parts.
    pub replaced: u64,
    /// Rows of these parts that are left out, since their video has a row of another image.
    pub left_out: u64,
}

/// Checks that rows can be added to a dataset.
///
/// # Errors
/// [`MergeError::OtherFormat`] if its metadata is in another format.
pub async fn require_writable(files: &Files) -> Result<(), MergeError> {
    for name in OTHER_FORMATS {
        if files.has(name).await? {
            return Err(MergeError::OtherFormat(name));
        }
    }
    Ok(())
}

/// Puts the rows of `parts`, which are written already, into `metadata.jsonl`. Rows of a part whose file is missing
/// stay as they are. Also moves the rows of parts that an earlier version wrote to `metadata/`.
pub async fn merge(files: &Files, parts: &[String]) -> Result<Merged, MergeError> {
    require_writable(files).await?;
    if parts.is_empty() && legacy_parts(files).await?.is_empty() {
        return Ok(Merged::default());
    }
    let lock = files.lock(LOCK, LOCK_LIMIT).await?;
    let _merging = if lock.is_none() { Some(MERGING.lock().await) } else { None };
    let legacy = legacy_parts(files).await?;
    let mut written = Vec::new();
    let mut seen = HashSet::new();
    for part in parts.iter().filter(|part| seen.insert(*part)) {
        if files.has(&part_file(part)).await? {
            written.push(Source { part: part.clone(), file: part_file(part) });
        }
    }
    let is_written: HashSet<&str> = written.iter().map(|source| source.part.as_str()).collect();
    let moved = legacy.iter().filter(|part| !is_written.contains(part.as_str()));
    let moved: Vec<Source> =
        moved.map(|part| Source { part: part.clone(), file: legacy_file(part) }).collect();
    let sources: Vec<Source> = moved.into_iter().chain(written).collect();
    if sources.is_empty() {
        return Ok(Merged::default());
    }
    let plan = Plan::of(files, &sources).await?;
    let (file, merged) = plan.write(files, &sources).await?;
    files.write_file(METADATA, file.path()).await?;
    for part in &legacy {
        if !part.starts_with(IMPORT) && !files.has(&part_file(part)).await? {
            // A later crawl reads the ETags of the thumbnails from it.
            let bytes = files.read(&legacy_file(part), MAX_FILE_BYTES).await?;
            files.write(&part_file(part), bytes).await?;
        }
        files.remove(&legacy_file(part)).await?;
    }
    Ok(merged)
}

/// The rows of one part.
struct Source {
    part: String,
    file: String,
}

/// Finds the parts in `metadata/` that a crawl or import wrote. Other files there are the user's.
async fn legacy_parts(files: &Files) -> Result<BTreeSet<String>, FilesError> {
    let add = |parts: &mut BTreeSet<String>, found: Found<'_>| {
        let Found::File { name, .. } = found else { return };
        let stem = name.strip_prefix("metadata/").and_then(|name| name.strip_suffix(".jsonl"));
        let is_channel = |stem: &str| stem.starts_with("UC") && stem.len() == 24;
        let is_part = |stem: &&str| is_channel(stem) || stem.starts_with("list-") || stem.starts_with(IMPORT);
        parts.extend(stem.filter(is_part).filter(|stem| !stem.contains('/')).map(str::to_owned));
    };
    files.walk(Some(LEGACY_FOLDER), BTreeSet::new(), add).await
}

/// What the first reading of all rows found.
struct Plan {
    /// The source of each image's row. The last source that has the image counts.
    images: DigestMap<u32>,
    /// The videos of the rows that stay.
    videos: DigestMap<()>,
    schema: Schema,
}

impl Plan {
    async fn of(files: &Files, sources: &[Source]) -> Result<Self, MergeError> {
        let (images, videos) = (DigestMap::default(), DigestMap::default());
        let mut plan = Self { images, videos, schema: Schema::default() };
        for (index, source) in sources.iter().enumerate().rev() {
            let mut rows = RowReader::open(files, &source.file).await?;
            while let Some(row) = rows.next().await? {
                if let Some(name) = row.text_of("file_name") {
                    plan.images.insert(name, index as u32);
                }
            }
        }
        plan.videos = plan.videos_that_stay(files, sources).await?;
        let mut schema = Schema::default();
        plan.for_each_row(files, sources, |row, _| {
            if let Some(columns) = &row.columns {
                schema.add(columns);
            }
            Ok(())
        })
        .await?;
        plan.schema = schema;
        Ok(plan)
    }

    /// Writes the rows to a temporary file.
    async fn write(self, files: &Files, sources: &[Source]) -> Result<(NamedTempFile, Merged), MergeError> {
        let mut file = NamedTempFile::new()?;
        let mut merged = Merged::default();
        let mut writer = BufWriter::new(&mut file);
        // The rows that show the types of columns come first.
        for first in [true, false] {
            let mut schema = Schema::default();
            (merged.replaced, merged.left_out) = self
                .for_each_row(files, sources, |row, part| {
                    let shows_type = row.columns.as_ref().is_some_and(|columns| schema.add(columns));
                    if shows_type == first {
                        merged.rows += 1;
                        writer.write_all(&self.line(row, part))?;
                        writer.write_all(b"\n")?;
                    }
                    Ok(())
                })
                .await?;
        }
        writer.flush()?;
        drop(writer);
        Ok((file, merged))
    }

    /// The row as it is written: as it was, but for a missing column `part` and columns of mixed types.
    fn line(&self, row: &RawRow, part: Option<&str>) -> Vec<u8> {
        let Some(columns) = &row.columns else { return row.text.to_vec() };
        if let Some(mut columns) = self.schema.with_texts(columns) {
            columns.extend(part.map(|part| ("part".to_owned(), Value::from(part))));
            return Value::Object(columns).to_string().into_bytes();
        }
        match part.filter(|part| columns.get("part") != Some(&Value::from(*part))) {
            Some(part) if columns.contains_key("part") => {
                let mut columns = columns.clone();
                columns.insert("part".to_owned(), Value::from(part));
                Value::Object(columns).to_string().into_bytes()
            }
            Some(part) => {
                let open = row.text.trim_ascii_end().strip_suffix(b"}").unwrap_or(&row.text);
                [open, format!(",\"part\":{}}}", Value::from(part)).as_bytes()].concat()
            }
            None => row.text.to_vec(),
        }
    }

    async fn videos_that_stay(&self, files: &Files, sources: &[Source]) -> Result<DigestMap<()>, MergeError> {
        let mut videos = DigestMap::default();
        self.for_each_row(files, sources, |row, part| {
            if let (None, Some(video)) = (part, row.text_of("video_id")) {
                videos.insert(video, ());
            }
            Ok(())
        })
        .await?;
        Ok(videos)
    }

    /// Calls `visit` for each row that stays or is new, with the part of a new one. Returns how many rows of other parts
    /// are replaced, and how many new ones are left out.
    async fn for_each_row(
        &self,
        files: &Files,
        sources: &[Source],
        mut visit: impl FnMut(&RawRow, Option<&str>) -> Result<(), MergeError>,
    ) -> Result<(u64, u64), MergeError> {
        let parts: HashSet<&str> = sources.iter().map(|source| source.part.as_str()).collect();
        let (mut replaced, mut left_out) = (0, 0);
        if files.has(METADATA).await? {
            let mut rows = RowReader::open(files, METADATA).await?;
            while let Some(row) = rows.next().await? {
                if row.text_of("part").is_some_and(|part| parts.contains(part)) {
                    continue;
                }
                if row.text_of("file_name").is_some_and(|name| self.images.get(name).is_some()) {
                    replaced += 1;
                    continue;
                }
                visit(&row, None)?;
            }
        }
        for (index, source) in (0..).zip(sources) {
            let mut rows = RowReader::open(files, &source.file).await?;
            while let Some(row) = rows.next().await? {
                let at = row.text_of("file_name").and_then(|name| self.images.get(name));
                if at.is_some_and(|at| at != index) {
                    continue;
                }
                if row.text_of("video_id").is_some_and(|video| self.videos.get(video).is_some()) {
                    left_out += 1;
                } else {
                    visit(&row, Some(&source.part))?;
                }
            }
        }
        Ok((replaced, left_out))
    }
}

#[cfg(test)]
mod tests;
