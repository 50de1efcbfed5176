//! A row as it is imported.

use dataset::row::Row;
use serde::Serialize;
use serde_json::{Map, Value};

use super::video;

/// A usable row.
#[derive(Clone, PartialEq, Debug)]
pub struct ImportRow {
    /// Line in the table, from 1.
    pub line: u64,
    pub video_id: String,
    /// Path of the thumbnail, relative to the image folder; `None` if it is named after the video.
    pub file: Option<String>,
    pub columns: TableColumns,
}

impl ImportRow {
    /// Name of the video's files, without extension.
    #[must_use]
    pub fn file_stem(&self) -> String {
        video::file_stem(&self.video_id)
    }
}

/// The columns for the dataset: recognised ones under the dataset's names, and the others unchanged.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TableColumns {
    /// Recognised columns; those about the image file are not set.
    #[serde(flatten)]
    pub known: Row,
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// An unusable row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadRow {
    /// Line in the table, from 1.
    pub line: u64,
    pub problem: String,
}
