//! Collects statistics, problems and warnings from the rows of a dataset.
//!
//! Keeps a compact record of each usable row for the check of its image.

use common::{digest::Digest, job::outcome::FailureReason};
use serde::Serialize;

use super::{
    channels::Channels,
    counts, dates,
    lenient_row::Columns,
    options::CheckOptions,
    tally::Tally,
    warnings::{ItemProblem, Reason, Warnings},
};
use crate::{
    imagefolder::{Entry, SkippedFiles},
    manifest::{ManifestItem, NO_ROW},
};

pub(super) struct Rows {
    options: CheckOptions,
    /// Usable rows, and images without a row.
    pub(super) items: Vec<Item>,
    /// All rows.
    pub(super) entries: u64,
    pub(super) problems: Vec<ItemProblem>,
    pub(super) duplicates: Vec<String>,
    pub(super) channels: Channels,
    pub(super) approximate: Approximate,
    pub(super) variants: Tally,
    pub(super) sources: Tally,
    pub(super) warnings: Warnings,
    pub(super) skipped: Tally,
    pub(super) without_row: u64,
    pub(super) files_without_row: Vec<String>,
    pub(super) skipped_files: SkippedFiles,
}

/// Number of rows with counts marked as approximate: abbreviated or rounded by their source.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Approximate {
    pub views: u64,
    pub subscribers: u64,
}

/// A usable row, or an image without one.
pub(super) struct Item {
    pub(super) name: Box<str>,
    /// `None` if it equals the file name without its extension.
    video_id: Option<Box<str>>,
    /// SHA-256 in the row.
    pub(super) sha256: Option<Digest>,
    /// In raw units, or the reason why there is none.
    pub(super) label: Result<f64, Box<str>>,
}

impl Item {
    pub(super) fn video_id(&self) -> &str {
        self.video_id.as_deref().unwrap_or_else(|| stem(&self.name))
    }
}

fn stem(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.split('.').next().unwrap_or(file)
}

impl Rows {
    pub(super) fn new(options: &CheckOptions) -> Self {
        Self {
            options: options.clone(),
            items: Vec::new(),
            entries: 0,
            problems: Vec::new(),
            duplicates: Vec::new(),
            channels: Channels::default(),
            approximate: Approximate::default(),
            variants: Tally::default(),
            sources: Tally::default(),
            warnings: Warnings::default(),
            skipped: Tally::default(),
            without_row: 0,
            files_without_row: Vec::new(),
            skipped_files: SkippedFiles::default(),
        }
    }

    /// Adds an entry and its raw row, which is empty if it has none.
    pub(super) fn add(&mut self, entry: Entry, row: &[u8]) {
        let is_row = match &entry {
            Entry::Item(item) => !item.without_row,
            Entry::Rejected(rejected) => rejected.failure.reason != FailureReason::Refused,
            Entry::Duplicate(_) => true,
        };
        self.entries += u64::from(is_row);
        match entry {
            Entry::Item(item) if item.without_row => {
                self.without_row += 1;
                self.files_without_row.push(item.item.clone());
                self.add_item(&item, None);
            }
            Entry::Item(item) => self.add_item(&item, Some(&Columns::of(row))),
            Entry::Rejected(rejected) => {
                self.skipped.add(&rejected.failure.reason.to_string());
                let reason = rejected.failure.to_string();
                self.problems.push(ItemProblem { item: rejected.item, reason });
            }
            Entry::Duplicate(duplicate) => self.duplicates.push(duplicate.to_string()),
        }
    }

    fn add_item(&mut self, item: &ManifestItem, columns: Option<&Columns>) {
        let mut sha256 = None;
        if let Some(columns) = columns {
            self.channels.add(item, columns.text("category").as_deref());
            counts::check(item, &mut self.warnings);
            dates::check(&item.item, columns, self.options.now, &mut self.warnings);
            self.approximate.views += u64::from(columns.is_true("views_approximate"));
            self.approximate.subscribers += u64::from(columns.is_true("subscribers_approximate"));
            for (column, tally) in [("thumbnail_variant", &mut self.variants), ("source", &mut self.sources)]
            {
                if let Some(text) = columns.text(column) {
                    tally.add(&text);
                }
            }
            if let Some(text) = columns.text("sha256") {
                sha256 = text.parse().ok();
                if sha256.is_none() {
                    let value = format!("'{text}' in the row is not a SHA-256");
                    self.warnings.add(Reason::FileChanged, &item.item, value);
                }
            }
        }
        let label = if item.without_row { Err(NO_ROW.to_owned()) } else { self.options.target.label(item) };
        let video_id = item.video_id.as_deref().filter(|id| *id != stem(&item.item));
        self.items.push(Item {
            name: item.item.as_str().into(),
            video_id: video_id.map(Into::into),
            sha256,
            label: label.map_err(Into::into),
        });
    }
}
