//! Where a batch prediction is written: its folder, the format of its shards, and the columns that they carry.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use url::Url;

/// Most columns that a prediction carries along.
pub const MAX_COLUMNS: usize = 64;
/// Longest name of a column, in bytes. Jobs have the names of all columns.
pub const MAX_COLUMN_BYTES: usize = 256;

/// The output of a predict submission. Each job writes one shard.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Output {
    pub folder: Url,
    #[serde(default)]
    pub format: ShardFormat,
    /// The columns of the dataset's metadata that the shards carry, with one type in all shards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<Column>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShardFormat {
    #[default]
    Parquet,
    /// JSON Lines.
    Jsonl,
}

impl ShardFormat {
    pub const ALL: [Self; 2] = [Self::Parquet, Self::Jsonl];

    /// Returns its name, which is the extension of the files, too.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Jsonl => "jsonl",
        }
    }
}

impl fmt::Display for ShardFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ShardFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| format!("'{text}' is not a format: use parquet or jsonl"))
    }
}

/// A column of a shard. Its values may be null.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: ColumnType,
}

impl Column {
    pub fn new(name: impl Into<String>, kind: ColumnType) -> Self {
        Self { name: name.into(), kind }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnType {
    /// UTF-8.
    Text,
    /// 64-bit, signed.
    Integer,
    /// 64-bit floating point.
    Number,
    Boolean,
}
