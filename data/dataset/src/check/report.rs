//! The report of a dataset check, printed as JSON or text.

use serde::Serialize;

use super::{
    channels::Category,
    duplicates::NearDuplicateGroup,
    labels::Labels,
    rows::Approximate,
    tally::Occurrences,
    warnings::{ItemProblem, Warning},
};
use crate::imagefolder::SkippedFiles;

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DatasetReport {
    /// Metadata rows; 0 if the dataset has none.
    pub rows: u64,
    /// Usable rows, and images without a row.
    pub items: u64,
    /// Images that were read and decoded.
    pub images: u64,
    /// Items without a row.
    pub images_without_row: u64,
    /// Their names, in a dataset with rows.
    pub files_without_row: Vec<String>,
    /// Files that are neither images nor metadata, by the ending of their names.
    pub skipped_files: SkippedFiles,
    /// Distinct channels.
    pub channels: u64,
    /// Sorted by rows, in descending order.
    pub categories: Vec<Category>,
    /// Usable rows without a category.
    pub rows_without_category: u64,
    /// Unusable rows and images.
    pub problems: Vec<ItemProblem>,
    /// Rows with the video ID or file name of an earlier row. A submission with duplicate rows is rejected.
    pub duplicate_rows: Vec<String>,
    /// Groups of items whose images have the same bytes, the largest first.
    pub duplicate_image_groups: Vec<Vec<String>>,
    /// Items other than the first of their group, in all groups of duplicates.
    pub duplicate_images: u64,
    /// Groups of items whose images are near-duplicates, the largest first.
    pub near_duplicate_image_groups: Vec<NearDuplicateGroup>,
    /// Items other than the first of their group, in all groups of near-duplicates.
    pub near_duplicate_images: u64,
    /// Image sizes such as `1280×720`, the most frequent first.
    pub sizes: Vec<Occurrences>,
    /// Thumbnail variants of crawled rows, the most frequent first.
    pub variants: Vec<Occurrences>,
    /// Sources of rows, the most frequent first.
    pub sources: Vec<Occurrences>,
    pub approximate: Approximate,
    /// Rows and images that are suspicious, but kept.
    pub warnings: Vec<Warning>,
    pub labels: Labels,
    /// Items that a run would skip, by reason.
    pub skipped: Vec<Occurrences>,
}
