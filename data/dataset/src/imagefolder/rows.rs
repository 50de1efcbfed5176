//! The rows of a dataset's metadata, file after file.
//!
//! Owns what has to be remembered of all rows: which video ids and file names there were, and on which
//! line. That is two entries of a [digests](crate::digest_map) a row, some 50 bytes; sizes of files in a bucket
//! take another 28.

use std::collections::VecDeque;

use bytes::Bytes;
use common::job::outcome::{FailureReason, ItemFailure};

use super::{
    entry::{DatasetError, Duplicate, Entry, Rejected},
    lines::{Line, Lines, MAX_LINE_BYTES},
};
use crate::{
    digest_map::DigestMap,
    files::{Files, Listed, Sizes},
    manifest::ManifestItem,
    row::item_of,
};

/// Largest file of metadata.
const MAX_METADATA_BYTES: u64 = 1 << 30;
/// Rows whose files are looked up together.
const PAGE: usize = 256;

/// The rows that are not read yet.
pub(super) struct Rows {
    files: Files,
    sizes: Sizes,
    metadata: VecDeque<Listed>,
    open: Option<Lines>,
    places: Places,
    videos: DigestMap<u32>,
    names: DigestMap<u32>,
}

impl Rows {
    pub(super) fn of(files: &Files, metadata: Vec<Listed>, sizes: Sizes) -> Self {
        Self {
            files: files.clone(),
            sizes,
            metadata: metadata.into(),
            open: None,
            places: Places::default(),
            videos: DigestMap::default(),
            names: DigestMap::default(),
        }
    }

    /// Returns what the next rows make, and the rows; nothing at the end.
    pub(super) async fn next_page(&mut self) -> Result<VecDeque<(Entry, Bytes)>, DatasetError> {
        let mut page = VecDeque::with_capacity(PAGE);
        while page.len() < PAGE
            && let Some((line, place)) = self.next_line().await?
        {
            let is_blank = matches!(&line, Line::Text(text) if text.trim_ascii().is_empty());
            if !is_blank {
                let entry = self.read(&line, place);
                page.push_back((entry, line.into_text(), place));
            }
        }
        let named = |(entry, ..): &(Entry, Bytes, u32)| match entry {
            Entry::Item(item) => Some(item.item.clone()),
            Entry::Rejected(_) | Entry::Duplicate(_) => None,
        };
        let mut sizes = self.sizes.of(page.iter().filter_map(named).collect()).await.into_iter();
        let mut size = |(entry, row, place)| match entry {
            Entry::Item(item) => (self.with_size(item, place, sizes.next().flatten()), row),
            other => (other, row),
        };
        Ok(page.into_iter().map(&mut size).collect())
    }

    async fn next_line(&mut self) -> Result<Option<(Line, u32)>, DatasetError> {
        loop {
            if let Some(lines) = &mut self.open {
                if let Some(line) = lines.next().await? {
                    return Ok(Some((line, self.places.next_line()?)));
                }
                self.open = None;
            }
            let Some((name, _)) = self.metadata.pop_front() else { return Ok(None) };
            let content = self.files.open_content(&name, MAX_METADATA_BYTES).await?;
            self.open = Some(Lines::of(content));
            self.places.begin(name);
        }
    }

    fn read(&mut self, line: &Line, place: u32) -> Entry {
        let item = match read_row(line, || self.places.text(place)) {
            Ok(item) => item,
            Err(rejected) => return Entry::Rejected(rejected),
        };
        let video = item.video_id.as_deref().unwrap_or_default();
        let first = match self.videos.insert(video, place) {
            Some(first) => Some(("video id", video, first)),
            None => {
                self.names.insert(&item.item, place).map(|first| ("file name", item.item.as_str(), first))
            }
        };
        match first {
            None => Entry::Item(item),
            Some((what, value, first)) => Entry::Duplicate(Duplicate {
                what,
                value: value.to_owned(),
                first: self.places.text(first),
                second: self.places.text(place),
            }),
        }
    }

    fn with_size(&self, item: ManifestItem, place: u32, size: Option<u64>) -> Entry {
        match size {
            Some(bytes) => Entry::Item(ManifestItem { bytes, ..item }),
            None => Entry::Rejected(Rejected {
                failure: ItemFailure::new(
                    FailureReason::Missing,
                    format!("the file that {} names is not there", self.places.text(place)),
                ),
                item: item.item,
            }),
        }
    }
}

/// Makes an item of a line, without its size; `place` is the line's `file:line`.
fn read_row(line: &Line, place: impl Fn() -> String) -> Result<ManifestItem, Rejected> {
    let item = match line {
        Line::Text(text) => item_of(text),
        Line::TooLong(bytes) => {
            Err((None, format!("the row has {bytes} bytes, over the limit of {MAX_LINE_BYTES}")))
        }
    };
    item.map_err(|(item, detail)| Rejected {
        item: item.map_or_else(&place, |item| format!("{item} ({})", place())),
        failure: ItemFailure::new(FailureReason::InvalidRow, detail),
    })
}

/// Numbers the lines of all files from 0.
#[derive(Default)]
struct Places {
    /// The first line of each file.
    files: Vec<(u32, Box<str>)>,
    lines: u32,
}

impl Places {
    fn begin(&mut self, file: Box<str>) {
        self.files.push((self.lines, file));
    }

    fn next_line(&mut self) -> Result<u32, DatasetError> {
        let line = self.lines;
        self.lines = line.checked_add(1).ok_or(DatasetError::TooManyRows)?;
        Ok(line)
    }

    /// A line as `file:line`.
    fn text(&self, line: u32) -> String {
        let file = self.files.partition_point(|(first, _)| *first <= line) - 1;
        let (first, name) = &self.files[file];
        format!("{name}:{}", line - first + 1)
    }
}
