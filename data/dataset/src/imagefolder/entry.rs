//! What reading a dataset gives, and why it fails.

use common::job::outcome::ItemFailure;

use crate::{
    files::{FilesError, ReadError},
    manifest::ManifestItem,
};

/// Everything a dataset holds, for those who need it at once.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Contents {
    /// The usable items.
    pub items: Vec<ManifestItem>,
    /// Rows that are none.
    pub rejected: Vec<Rejected>,
    /// Rows that repeat another.
    pub duplicates: Vec<Duplicate>,
}

/// What a row, or an image without one, makes.
#[derive(Clone, PartialEq, Debug)]
pub enum Entry {
    /// A usable item.
    Item(ManifestItem),
    /// Nothing: the row is not usable.
    Rejected(Rejected),
    /// Nothing: an earlier row is about the same video or file. A dataset with any is refused.
    Duplicate(Duplicate),
}

/// A row that makes no item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejected {
    /// The row's file name where it has one, with its line: `thumbnails/x.jpg (metadata.jsonl:17)`.
    pub item: String,
    /// What is wrong with it.
    pub failure: ItemFailure,
}

/// Why a folder is no dataset.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// It cannot be listed.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// Its metadata cannot be read.
    #[error("the metadata cannot be read: {0}")]
    Metadata(#[from] ReadError),
    /// It holds neither rows nor images.
    #[error("the dataset is empty: it holds neither rows of metadata nor images (jpg, png, webp, gif, bmp)")]
    Empty,
    /// Its lines cannot be numbered.
    #[error("the metadata has more than {} lines: split the dataset", u32::MAX)]
    TooManyRows,
    /// Two rows are about the same video or file.
    #[error(transparent)]
    Duplicate(#[from] Duplicate),
}

/// Two rows about the same video or file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what} '{value}' stands twice: {first} and {second}")]
pub struct Duplicate {
    /// `video id` or `file name`.
    pub what: &'static str,
    /// The value.
    pub value: String,
    /// `file:line` of the first.
    pub first: String,
    /// `file:line` of the second.
    pub second: String,
}
