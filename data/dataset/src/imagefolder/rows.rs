//! Reads a dataset's metadata rows, file by file.
//!
//! To find duplicates, keeps the video IDs and file names of all rows with their line numbers: two
//! [`DigestMap`] entries a row, about 50 bytes. The sizes of files in a bucket take another 28 bytes each.

use std::collections::VecDeque;

use bytes::Bytes;
use common::job::outcome::{FailureReason, ItemFailure};

use super::{
    entry::{DatasetError, DuplicateRow, Entry, RejectedRow},
    lines::{Line, Lines, MAX_LINE_BYTES},
};
use crate::{
    digest_map::DigestMap,
    files::{Files, ListedFile, Sizes},
    manifest::ManifestItem,
    row::item_of,
};

const MAX_METADATA_BYTES: u64 = 1 << 30;
/// Rows whose file sizes are looked up together.
const PAGE_ROWS: usize = 256;

pub(super) struct Rows {
    files: Files,
    sizes: Sizes,
    metadata: VecDeque<ListedFile>,
    current: Option<Lines>,
    line_numbers: LineNumbers,
    video_ids: DigestMap<u32>,
    file_names: DigestMap<u32>,
}

impl Rows {
    pub(super) fn of(files: &Files, metadata: Vec<ListedFile>, sizes: Sizes) -> Self {
        Self {
            files: files.clone(),
            sizes,
            metadata: metadata.into(),
            current: None,
            line_numbers: LineNumbers::default(),
            video_ids: DigestMap::default(),
            file_names: DigestMap::default(),
        }
    }

    /// Returns the next entries with their rows; the page is empty at the end.
    pub(super) async fn next_page(&mut self) -> Result<VecDeque<(Entry, Bytes)>, DatasetError> {
        let mut page = VecDeque::with_capacity(PAGE_ROWS);
        while page.len() < PAGE_ROWS
            && let Some((line, number)) = self.next_line().await?
        {
            let is_blank = matches!(&line, Line::Text(text) if text.trim_ascii().is_empty());
            if !is_blank {
                let entry = self.parse(&line, number);
                page.push_back((entry, line.into_text(), number));
            }
        }
        let file_name = |(entry, ..): &(Entry, Bytes, u32)| match entry {
            Entry::Item(item) => Some(item.item.clone()),
            Entry::Rejected(_) | Entry::Duplicate(_) => None,
        };
        let mut sizes = self.sizes.of(page.iter().filter_map(file_name).collect()).await.into_iter();
        let mut add_size = |(entry, row, number)| match entry {
            Entry::Item(item) => (self.with_size(item, number, sizes.next().flatten()), row),
            other => (other, row),
        };
        Ok(page.into_iter().map(&mut add_size).collect())
    }

    async fn next_line(&mut self) -> Result<Option<(Line, u32)>, DatasetError> {
        loop {
            if let Some(lines) = &mut self.current {
                if let Some(line) = lines.next().await? {
                    return Ok(Some((line, self.line_numbers.next_line()?)));
                }
                self.current = None;
            }
            let Some((name, _)) = self.metadata.pop_front() else { return Ok(None) };
            let content = self.files.open_content(&name, MAX_METADATA_BYTES).await?;
            self.current = Some(Lines::of(content));
            self.line_numbers.start_file(name);
        }
    }

    fn parse(&mut self, line: &Line, number: u32) -> Entry {
        let item = match parse_row(line, || self.line_numbers.location(number)) {
            Ok(item) => item,
            Err(rejected) => return Entry::Rejected(rejected),
        };
        let video_id = item.video_id.as_deref().unwrap_or_default();
        let file_name = item.item.as_str();
        let first = match self.video_ids.insert(video_id, number) {
            Some(first) => Some(("video_id", video_id, first)),
            None => self.file_names.insert(file_name, number).map(|first| ("file_name", file_name, first)),
        };
        match first {
            None => Entry::Item(item),
            Some((column, value, first)) => Entry::Duplicate(DuplicateRow {
                column,
                value: value.to_owned(),
                first: self.line_numbers.location(first),
                second: self.line_numbers.location(number),
            }),
        }
    }

    fn with_size(&self, item: ManifestItem, number: u32, size: Option<u64>) -> Entry {
        match size {
            Some(bytes) => Entry::Item(ManifestItem { bytes, ..item }),
            None => Entry::Rejected(RejectedRow {
                failure: ItemFailure::new(
                    FailureReason::Missing,
                    format!("the file named in {} does not exist", self.line_numbers.location(number)),
                ),
                item: item.item,
            }),
        }
    }
}

/// Parses a line to an item without its size; `location` returns the line's `file:line`.
fn parse_row(line: &Line, location: impl Fn() -> String) -> Result<ManifestItem, RejectedRow> {
    let item = match line {
        Line::Text(text) => item_of(text),
        Line::TooLong(bytes) => {
            Err((None, format!("the row has {bytes} bytes, over the limit of {MAX_LINE_BYTES}")))
        }
    };
    item.map_err(|(item, detail)| RejectedRow {
        item: item.map_or_else(&location, |item| format!("{item} ({})", location())),
        failure: ItemFailure::new(FailureReason::InvalidRow, detail),
    })
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

    /// Returns a line's location as `file:line`, from line 1.
    fn location(&self, line: u32) -> String {
        let file = self.files.partition_point(|(first, _)| *first <= line) - 1;
        let (first, name) = &self.files[file];
        format!("{name}:{}", line - first + 1)
    }
}
