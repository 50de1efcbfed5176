//! The report: what a program reads as JSON, and people as a table.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Category, Inspected, Labels, Look, NearGroup, Reason, Suspicion,
    duplicates::{self, Repeated},
    images::Images,
    labels,
    rows::Rows,
};

/// What a dataset holds.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Inspection {
    /// Rows of metadata; 0 where there is none.
    pub rows: u64,
    /// Items: usable rows, or images where there are no rows.
    pub items: u64,
    /// Images that were read and decoded.
    pub images: u64,
    /// Image files that no row names, where there are rows.
    pub files_without_row: Vec<String>,
    /// Different channels.
    pub channels: u64,
    /// Categories, the one with most rows first.
    pub categories: Vec<Category>,
    /// Usable rows without a category.
    pub without_category: u64,
    /// Rows and images that cannot be used, with the reason.
    pub problems: Vec<Problem>,
    /// Rows about the same video or file: a dataset with any is refused.
    pub duplicate_rows: Vec<String>,
    /// Groups of items whose images have the same bytes, the largest first; at most 20.
    pub equal_images: Vec<Vec<String>>,
    /// Items beyond the first of each such group, over all groups.
    pub repeated_images: u64,
    /// Groups of items whose images look alike without being equal, the largest first; at most 20.
    pub near_images: Vec<NearGroup>,
    /// Items beyond the first of each such group, over all groups.
    pub near_repeats: u64,
    /// Picture sizes, the most frequent first, as `1280×720`.
    pub sizes: Vec<Count>,
    /// Variants of crawled thumbnails, the most frequent first.
    pub variants: Vec<Count>,
    /// Where rows came from, the most frequent first.
    pub sources: Vec<Count>,
    /// Counts that are known to be approximate.
    pub approximate: Approximate,
    /// What looks odd, by reason.
    pub suspicions: Vec<Suspicion>,
    /// The labels for one target.
    pub labels: Labels,
    /// What a run would leave out, by reason.
    pub left_out: Vec<Count>,
}

/// Something that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Problem {
    /// The row or the image.
    pub item: String,
    /// What is wrong with it.
    pub reason: String,
}

/// How often something occurs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Count {
    /// What.
    pub what: String,
    /// How often.
    pub items: u64,
}

/// Rows whose counts their source abbreviated or rounded, and says so.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Approximate {
    /// Rows with approximate views.
    pub views: u64,
    /// Rows with approximate subscribers.
    pub subscribers: u64,
}

/// How often each text occurred.
#[derive(Default)]
pub(super) struct Tally(BTreeMap<String, u64>);

impl Tally {
    pub(super) fn add(&mut self, text: &str) {
        match self.0.get_mut(text) {
            Some(items) => *items += 1,
            None => {
                self.0.insert(text.to_owned(), 1);
            }
        }
    }

    /// The most frequent first.
    pub(super) fn into_counts(self) -> Vec<Count> {
        let mut counts: Vec<Count> = self.0.into_iter().map(|(what, items)| Count { what, items }).collect();
        counts.sort_by_key(|count| std::cmp::Reverse(count.items));
        counts
    }
}

pub(super) fn of(is_labelled: bool, rows: Rows, images: Images, look: &Look) -> Inspected {
    let mut left_out = rows.left_out;
    let mut usable = Vec::new();
    for (at, item) in rows.items.iter().enumerate() {
        match (images.unreadable.get(&(at as u32)), &item.label) {
            (Some(reason), _) => left_out.add(&reason.to_string()),
            (None, Ok(label)) => usable.push(*label),
            (None, Err(reason)) => left_out.add(reason),
        }
    }
    let name = |at: u32| rows.items[at as usize].name.to_string();
    let Repeated { groups: equal_images, beyond_first: repeated_images, firsts } =
        duplicates::equal(&images.seen, name);
    let (near_images, near_repeats) = duplicates::near(firsts, name);
    let mut suspicions = rows.suspicions;
    suspicions.forgive(Reason::CrawledAtMissing, rows.items.len());
    rows.channels.suspect(&mut suspicions);
    let mut problems = rows.problems;
    problems.extend(images.problems);
    let (labels, usable) = labels::distribution(look.target, usable);
    let report = Inspection {
        rows: if is_labelled { rows.entries } else { 0 },
        items: rows.items.len() as u64,
        images: images.seen.len() as u64,
        files_without_row: rows.files_without_row,
        channels: rows.channels.len(),
        categories: rows.channels.categories(),
        without_category: if is_labelled { rows.channels.without_category() } else { 0 },
        problems,
        duplicate_rows: rows.duplicates,
        equal_images,
        repeated_images,
        near_images,
        near_repeats,
        sizes: images.sizes.into_counts(),
        variants: rows.variants.into_counts(),
        sources: rows.sources.into_counts(),
        approximate: rows.approximate,
        suspicions: suspicions.into_list(),
        labels,
        left_out: left_out.into_counts(),
    };
    Inspected { report, labels: usable, thumbnails: images.thumbnails }
}
