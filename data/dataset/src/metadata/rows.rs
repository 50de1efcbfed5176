//! Reads the rows of `metadata.jsonl` and of parts.

use std::io;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{
    files::{Files, FilesError, ReadError},
    imagefolder::lines::{Line, Lines, without_bom},
    json,
};

pub(super) const METADATA: &str = "metadata.jsonl";
/// Start of the names of imported tables' parts.
pub(super) const IMPORT: &str = "import-";
pub(super) const MAX_FILE_BYTES: u64 = 8 << 30;
const MAX_LINE_BYTES: usize = 16 << 20;

#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    #[error("the dataset has {0}: convert it to metadata.jsonl, or choose another dataset")]
    OtherFormat(&'static str),
    #[error("{name}:{line} is longer than {MAX_LINE_BYTES} bytes")]
    TooLong { name: String, line: u64 },
    #[error("a temporary file cannot be written: {0}")]
    Temporary(#[from] io::Error),
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl MergeError {
    /// Whether the storage failed, so that a later attempt may succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::OtherFormat(_) | Self::TooLong { .. } => false,
            Self::Temporary(_) | Self::Files(_) => true,
            Self::Read(error) => error.is_retryable(),
        }
    }
}

pub(super) struct RawRow {
    pub(super) text: Bytes,
    /// `None` if the line is not a JSON object.
    pub(super) columns: Option<Map<String, Value>>,
}

impl RawRow {
    pub(super) fn text_of(&self, column: &str) -> Option<&str> {
        self.columns.as_ref()?.get(column)?.as_str()
    }
}

pub(super) struct RowReader {
    name: String,
    lines: Lines,
    line: u64,
}

impl RowReader {
    pub(super) async fn open(files: &Files, name: &str) -> Result<Self, ReadError> {
        let content = files.open_content(name, MAX_FILE_BYTES).await?;
        Ok(Self { name: name.to_owned(), lines: Lines::with_limit(content, MAX_LINE_BYTES), line: 0 })
    }

    /// Returns the next line that is not blank.
    pub(super) async fn next(&mut self) -> Result<Option<RawRow>, MergeError> {
        while let Some(line) = self.lines.next().await? {
            self.line += 1;
            let text = match line {
                Line::Text(text) => text,
                Line::TooLong(_) => {
                    return Err(MergeError::TooLong { name: self.name.clone(), line: self.line });
                }
            };
            let text = if self.line == 1 { without_bom(text) } else { text };
            let text = text.slice_ref(text.trim_ascii());
            if !text.is_empty() {
                let columns = std::str::from_utf8(&text).ok().and_then(|text| json::parse(text).ok());
                return Ok(Some(RawRow { text, columns }));
            }
        }
        Ok(None)
    }
}
