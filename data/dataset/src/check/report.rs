//! The report: what a program reads as JSON, and people as a table.

use serde::Serialize;

use super::{
    channels::Category,
    duplicates::NearGroup,
    labels::Labels,
    rows::Approximate,
    suspicions::{ItemProblem, Suspicion},
    tally::Occurrences,
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
    pub problems: Vec<ItemProblem>,
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
    pub sizes: Vec<Occurrences>,
    /// Variants of crawled thumbnails, the most frequent first.
    pub variants: Vec<Occurrences>,
    /// Where rows came from, the most frequent first.
    pub sources: Vec<Occurrences>,
    /// Counts that are known to be approximate.
    pub approximate: Approximate,
    /// What looks odd, by reason.
    pub suspicions: Vec<Suspicion>,
    /// The labels for one target.
    pub labels: Labels,
    /// What a run would leave out, by reason.
    pub left_out: Vec<Occurrences>,
}
