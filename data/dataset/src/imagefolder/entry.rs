//! The entries of a dataset, and the errors of reading it.

use std::{collections::BTreeMap, fmt};

use common::job::outcome::ItemFailure;
use images::decode::FILE_EXTENSIONS;
use serde::{Deserialize, Serialize};

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

/// An entry of a dataset: a row, or an image that no row names.
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

/// Number of files that are neither images nor metadata, by the ending of their names.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SkippedFiles(BTreeMap<String, u64>);

impl SkippedFiles {
    /// Most endings that are kept apart.
    const MAX_ENDINGS: usize = 64;
    const MAX_LENGTH: usize = 16;
    const OTHERS: &str = "others";

    pub(super) fn add(&mut self, name: &str) {
        let file = name.rsplit('/').next().unwrap_or(name);
        let ending = file.rsplit_once('.').map_or_else(String::new, |(_, ending)| ending.to_lowercase());
        let ending = match ending.len() {
            0 => "no ending".to_owned(),
            1..=Self::MAX_LENGTH if self.0.len() < Self::MAX_ENDINGS || self.0.contains_key(&ending) => {
                ending
            }
            _ => Self::OTHERS.to_owned(),
        };
        *self.0.entry(ending).or_default() += 1;
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the endings, the most frequent first.
    #[must_use]
    pub fn by_frequency(&self) -> Vec<(&str, u64)> {
        let mut endings: Vec<(&str, u64)> =
            self.0.iter().map(|(ending, files)| (ending.as_str(), *files)).collect();
        endings.sort_by_key(|(_, files)| std::cmp::Reverse(*files));
        endings
    }
}

/// Shows the most frequent endings: "3 tiff, 1 txt".
impl fmt::Display for SkippedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LISTED: usize = 5;
        let endings = self.by_frequency();
        let shown: Vec<String> =
            endings.iter().take(LISTED).map(|(ending, files)| format!("{files} {ending}")).collect();
        f.write_str(&shown.join(", "))?;
        match endings.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => write!(f, " and {more} other endings"),
        }
    }
}

/// Why a dataset cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error("the metadata cannot be read: {0}")]
    Metadata(#[from] ReadError),
    /// A CSV or Parquet file is unusable as a whole.
    #[error("{file} cannot be read: {reason}")]
    Table { file: String, reason: String },
    #[error("{first} and {second} are in the same folder: keep the one whose rows count")]
    TwoFormats { first: String, second: String },
    #[error("the dataset is empty: it has no metadata rows and no images ({}){}", FILE_EXTENSIONS.join(", "), others(skipped_files))]
    Empty { skipped_files: SkippedFiles },
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

/// Names the endings of other files in an otherwise empty dataset.
fn others(skipped_files: &SkippedFiles) -> String {
    if skipped_files.is_empty() { String::new() } else { format!(", only other files: {skipped_files}") }
}
