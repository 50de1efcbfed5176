//! Reads a dataset's metadata rows, file by file.
//!
//! To find duplicates, keeps the video IDs and file names of all rows with their line numbers: two
//! [`DigestMap`] entries a row, about 50 bytes. The sizes of files in a bucket take another 28 bytes each.

use std::{collections::VecDeque, mem, sync::Arc};

use bytes::Bytes;
use common::job::outcome::{FailureReason, ItemFailure};

use super::{
    entry::{DatasetError, DuplicateRow, Entry, RejectedRow},
    lines::{Line, Lines, MAX_LINE_BYTES, without_bom},
    names::{Format, MAX_METADATA_BYTES, MetadataFile, in_dataset, other_spellings},
    survey::RowNames,
    table::Table,
};
use crate::{
    digest_map::DigestMap,
    files::{Files, Lookup, Resolved},
    manifest::ManifestItem,
    row::{ParsedRow, RowError, parse},
};

/// Rows whose files are looked up together.
const PAGE_ROWS: usize = 256;

pub(super) struct Rows {
    files: Files,
    metadata: VecDeque<MetadataFile>,
    current: Option<OpenFile>,
    line_numbers: LineNumbers,
    video_ids: DigestMap<u32>,
    names: RowNames,
}

/// A metadata file that is being read.
struct OpenFile {
    name: String,
    base: Arc<str>,
    source: Source,
}

enum Source {
    Lines { lines: Lines, is_first: bool },
    Table(Table),
}

/// A row, with the number of its line among all files.
struct RawRow {
    row: Result<Bytes, String>,
    number: u32,
    base: Arc<str>,
}

/// A row before its file is looked up.
struct PageRow {
    parsed: Result<ParsedRow, RowError>,
    row: Bytes,
    number: u32,
    base: Arc<str>,
    /// The file's name in the dataset.
    name: Option<String>,
}

impl Rows {
    pub(super) fn of(files: &Files, metadata: Vec<MetadataFile>) -> Self {
        Self {
            files: files.clone(),
            metadata: metadata.into(),
            current: None,
            line_numbers: LineNumbers::default(),
            video_ids: DigestMap::default(),
            names: RowNames::default(),
        }
    }

    /// Returns the file names of all rows read so far, and forgets them.
    pub(super) fn take_names(&mut self) -> RowNames {
        mem::take(&mut self.names)
    }

    /// Returns the next entries with their rows; the page is empty at the end.
    pub(super) async fn next_page(
        &mut self,
        lookup: &Lookup,
    ) -> Result<VecDeque<(Entry, Bytes)>, DatasetError> {
        let mut page = Vec::with_capacity(PAGE_ROWS);
        while page.len() < PAGE_ROWS
            && let Some(RawRow { row, number, base }) = self.next_row().await?
        {
            let unnamed = |detail: &String| RowError { file_name: None, detail: detail.clone() };
            let parsed = row.as_ref().map_err(unnamed).and_then(|row| parse(row));
            let name = parsed.as_ref().ok().and_then(|parsed| in_dataset(&base, &parsed.file_name));
            page.push(PageRow { parsed, row: row.unwrap_or_default(), number, base, name });
        }
        let names = page.iter().filter_map(|row| row.name.clone()).collect();
        let mut found = lookup.resolve(names).await.into_iter();
        let mut entries = VecDeque::with_capacity(page.len());
        for mut row in page {
            let mut file = if row.name.is_some() { found.next().flatten() } else { None };
            if file.is_none() {
                file = find_otherwise(&mut row, lookup).await;
            }
            let text = mem::take(&mut row.row);
            entries.push_back((self.entry(row, file), text));
        }
        Ok(entries)
    }

    async fn next_row(&mut self) -> Result<Option<RawRow>, DatasetError> {
        loop {
            let Some(OpenFile { name, base, source }) = &mut self.current else {
                let Some(file) = self.metadata.pop_front() else { return Ok(None) };
                self.current = Some(OpenFile::open(&self.files, &file).await?);
                self.line_numbers.start_file(file.name.into());
                continue;
            };
            let base = base.clone();
            match source {
                Source::Lines { lines, is_first } => {
                    if let Some(line) = lines.next().await? {
                        let number = self.line_numbers.next_line()?;
                        let has_bom = mem::replace(is_first, false);
                        let Some(row) = row_of(line, has_bom) else { continue };
                        return Ok(Some(RawRow { row, number, base }));
                    }
                }
                Source::Table(table) => {
                    let unusable = |reason| DatasetError::Table { file: name.clone(), reason };
                    if let Some(row) = table.next().await.transpose().map_err(unusable)? {
                        let number = self.line_numbers.line(row.line)?;
                        return Ok(Some(RawRow { row: row.row, number, base }));
                    }
                }
            }
            self.current = None;
        }
    }

    fn entry(&mut self, row: PageRow, file: Option<Resolved>) -> Entry {
        let number = row.number;
        let location = self.line_numbers.location(number);
        let (item, name) = match (row.parsed, row.name) {
            (Ok(parsed), Some(name)) => (ManifestItem { item: name.clone(), ..parsed.item }, name),
            (Ok(parsed), None) => {
                let detail = format!("file_name '{}' is not a path inside the dataset", parsed.file_name);
                return rejected(location, FailureReason::InvalidRow, detail);
            }
            (Err(RowError { file_name: None, detail }), _) => {
                return rejected(location, FailureReason::InvalidRow, detail);
            }
            (Err(RowError { file_name: Some(file_name), detail }), _) => {
                if let Some(name) = in_dataset(&row.base, &file_name) {
                    self.names.others.insert(&name, ());
                }
                return rejected(format!("{file_name} ({location})"), FailureReason::InvalidRow, detail);
            }
        };
        if let Some(duplicate) = self.duplicate(&item, number) {
            return Entry::Duplicate(duplicate);
        }
        let Some(Resolved { bytes, real_name }) = file else {
            let detail = match name.split('/').any(|part| part.starts_with('.')) {
                true => {
                    format!("the file named in {location} is hidden: a name in its path begins with a dot")
                }
                false => format!("the file named in {location} does not exist"),
            };
            return rejected(name, FailureReason::Missing, detail);
        };
        if let Some(real_name) = real_name {
            self.names.others.insert(&real_name, ());
        }
        Entry::Item(ManifestItem { bytes, ..item })
    }

    /// Records a row's video ID and file name, unless an earlier row has one of them.
    fn duplicate(&mut self, item: &ManifestItem, number: u32) -> Option<DuplicateRow> {
        let first = item
            .video_id
            .as_deref()
            .and_then(|id| Some(("video_id", id, self.video_ids.insert(id, number)?)));
        let first = first.or_else(|| {
            let name = item.item.as_str();
            Some(("file_name", name, self.names.usable.insert(name, number)?))
        });
        first.map(|(column, value, first)| DuplicateRow {
            column,
            value: value.to_owned(),
            first: self.line_numbers.location(first),
            second: self.line_numbers.location(number),
        })
    }
}

impl OpenFile {
    async fn open(files: &Files, file: &MetadataFile) -> Result<Self, DatasetError> {
        let source = match file.format {
            Format::JsonLines => {
                let content = files.open_content(&file.name, MAX_METADATA_BYTES).await?;
                Source::Lines { lines: Lines::of(content), is_first: true }
            }
            Format::Csv | Format::Parquet => {
                Source::Table(Table::open(files, &file.name, file.format).await?)
            }
        };
        Ok(Self { name: file.name.clone(), base: file.base.as_str().into(), source })
    }
}

/// Returns the row of a line, or `None` if it is blank. The first line may begin with a byte order mark.
fn row_of(line: Line, is_first: bool) -> Option<Result<Bytes, String>> {
    match line {
        Line::Text(text) => {
            let text = if is_first { without_bom(text) } else { text };
            (!text.trim_ascii().is_empty()).then_some(Ok(text))
        }
        Line::TooLong(bytes) => {
            Some(Err(format!("the row has {bytes} bytes, over the limit of {MAX_LINE_BYTES}")))
        }
    }
}

/// Finds a file whose name the row writes with backslashes or in another Unicode normalisation form, and corrects the
/// row's name.
async fn find_otherwise(row: &mut PageRow, lookup: &Lookup) -> Option<Resolved> {
    let names = other_spellings(&row.base, &row.parsed.as_ref().ok()?.file_name);
    if names.is_empty() {
        return None;
    }
    let files = lookup.resolve(names.clone()).await;
    let (name, file) = names.into_iter().zip(files).find_map(|(name, file)| Some((name, file?)))?;
    row.name = Some(name);
    Some(file)
}

fn rejected(item: String, reason: FailureReason, detail: String) -> Entry {
    Entry::Rejected(RejectedRow { item, failure: ItemFailure::new(reason, detail) })
}

/// Numbers the lines of all files consecutively from 0.
#[derive(Default)]
struct LineNumbers {
    /// The number of each file's first line, with the file's name.
    files: Vec<(u32, Box<str>)>,
    lines: u32,
}

impl LineNumbers {
    fn start_file(&mut self, file: Box<str>) {
        self.files.push((self.lines, file));
    }

    fn next_line(&mut self) -> Result<u32, DatasetError> {
        let line = self.lines;
        self.lines = line.checked_add(1).ok_or(DatasetError::TooManyRows)?;
        Ok(line)
    }

    /// Returns the number of a line of the current file, from 1, which is after the lines before.
    fn line(&mut self, line: u32) -> Result<u32, DatasetError> {
        let first = self.files.last().map_or(0, |(first, _)| *first);
        self.lines = first.checked_add(line).ok_or(DatasetError::TooManyRows)?;
        Ok(self.lines - 1)
    }

    /// Returns a line's location as `file:line`, from line 1.
    fn location(&self, line: u32) -> String {
        let file = self.files.partition_point(|(first, _)| *first <= line) - 1;
        let (first, name) = &self.files[file];
        format!("{name}:{}", line - first + 1)
    }
}
