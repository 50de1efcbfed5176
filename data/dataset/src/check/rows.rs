//! What the rows of a dataset say, one after another.
//!
//! Owns what is remembered of them until the images were looked at.

use common::digest::Digest;
use serde::Serialize;

use super::{
    channels::Channels,
    counts, dates,
    lenient_row::Columns,
    options::Look,
    suspicions::{ItemProblem, Reason, Suspicions},
    tally::Tally,
};
use crate::{fingerprint_map::Ledger, imagefolder::Entry, manifest::ManifestItem};

/// What all rows say.
pub(super) struct Rows {
    look: Look,
    /// The usable ones.
    pub(super) items: Vec<Item>,
    /// All of them, or images where there are none.
    pub(super) entries: u64,
    pub(super) problems: Vec<ItemProblem>,
    pub(super) duplicates: Vec<String>,
    pub(super) channels: Channels,
    pub(super) approximate: Approximate,
    pub(super) variants: Tally,
    pub(super) sources: Tally,
    pub(super) suspicions: Suspicions,
    pub(super) left_out: Tally,
    pub(super) files_without_row: Vec<String>,
    /// Files that some row names, usable or not.
    named: Ledger<()>,
}

/// Rows whose counts their source abbreviated or rounded, and says so.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Approximate {
    /// Rows with approximate views.
    pub views: u64,
    /// Rows with approximate subscribers.
    pub subscribers: u64,
}

/// What is remembered of a usable row, or of an image without one.
pub(super) struct Item {
    pub(super) name: Box<str>,
    /// Where it is not what the file is named after.
    video_id: Option<Box<str>>,
    /// What the row says the file has.
    pub(super) sha256: Option<Digest>,
    /// In raw units, or why there is none.
    pub(super) label: Result<f64, Box<str>>,
}

impl Item {
    /// The video, or else the name of the file without its ending.
    pub(super) fn video_id(&self) -> &str {
        self.video_id.as_deref().unwrap_or_else(|| stem(&self.name))
    }
}

fn stem(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.split('.').next().unwrap_or(file)
}

impl Rows {
    pub(super) fn new(look: &Look) -> Self {
        Self {
            look: look.clone(),
            items: Vec::new(),
            entries: 0,
            problems: Vec::new(),
            duplicates: Vec::new(),
            channels: Channels::default(),
            approximate: Approximate::default(),
            variants: Tally::default(),
            sources: Tally::default(),
            suspicions: Suspicions::default(),
            left_out: Tally::default(),
            files_without_row: Vec::new(),
            named: Ledger::default(),
        }
    }

    /// Takes what a row made; an image without one has an empty row.
    pub(super) fn add(&mut self, entry: Entry, row: &[u8]) {
        self.entries += 1;
        let columns = Columns::of(row);
        if let Some(name) = columns.text("file_name") {
            self.named.insert(&name, ());
        }
        match entry {
            Entry::Item(item) => self.add_item(&item, (!row.is_empty()).then_some(&columns)),
            Entry::Rejected(rejected) => {
                self.left_out.add(&rejected.failure.reason.to_string());
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
            counts::suspect(item, &mut self.suspicions);
            dates::suspect(&item.item, columns, self.look.now, &mut self.suspicions);
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
                    let value = format!("the row says '{text}', which is no SHA-256");
                    self.suspicions.add(Reason::FileChanged, &item.item, value);
                }
            }
        }
        let video_id = item.video_id.as_deref().filter(|id| *id != stem(&item.item));
        self.items.push(Item {
            name: item.item.as_str().into(),
            video_id: video_id.map(Into::into),
            sha256,
            label: self.look.target.label(item).map_err(Into::into),
        });
    }

    /// Takes an image file that lies below the dataset.
    pub(super) fn note_file(&mut self, name: &str) {
        if self.named.get(name).is_none() {
            self.files_without_row.push(name.to_owned());
        }
    }
}
