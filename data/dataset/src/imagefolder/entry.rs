//! The entries of a dataset, and the errors of reading it.

use common::job::outcome::ItemFailure;

use crate::{
    files::{FilesError, ReadError},
    manifest::ManifestItem,
};

/// All entries of a dataset.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Contents {
    pub items: Vec<ManifestItem>,
    pub rejected: Vec<RejectedRow>,
    pub duplicates: Vec<DuplicateRow>,
}

/// An entry of a dataset: a row, or an image in a dataset without rows.
#[derive(Clone, PartialEq, Debug)]
pub enum Entry {
    Item(ManifestItem),
    Rejected(RejectedRow),
    /// An earlier row has the same video or file. A submission with duplicate rows is rejected.
    Duplicate(DuplicateRow),
}

/// An invalid row, or a row whose file is missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RejectedRow {
    /// The file name and line, `thumbnails/x.jpg (metadata.jsonl:17)`, or only the line.
    pub item: String,
    pub failure: ItemFailure,
}

/// Why a dataset cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error("the metadata cannot be read: {0}")]
    Metadata(#[from] ReadError),
    #[error("the dataset is empty: it has no metadata rows and no images (jpg, png, webp, gif, bmp)")]
    Empty,
    #[error("the metadata has more than {} lines: split the dataset", u32::MAX)]
    TooManyRows,
    #[error(transparent)]
    Duplicate(#[from] DuplicateRow),
}

/// Two rows with the same video ID or file name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("duplicate {column} '{value}': {first} and {second}")]
pub struct DuplicateRow {
    /// `video_id` or `file_name`.
    pub column: &'static str,
    pub value: String,
    /// `file:line` of the first row.
    pub first: String,
    /// `file:line` of the second row.
    pub second: String,
}
