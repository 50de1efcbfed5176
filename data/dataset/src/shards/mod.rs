//! Shards: the files of many rows that a batch prediction or the export of a space consists of.
//!
//! `columns` selects the columns of a dataset's rows that predictions carry along, and finds their types; `predictions`
//! makes the shards of a batch prediction, and `embeddings` writes and reads those of a space. `table` encodes columns as
//! Parquet or JSON Lines. Invariant: the bytes of a shard are a function of its rows, so that a job that runs twice
//! writes the same file.

mod columns;
pub mod embeddings;
pub mod predictions;
mod table;

use common::digest::Digest;
use serde::{Deserialize, Serialize};

pub use self::columns::{Columns, MAX_VALUES_BYTES};

/// The file that lists the shards. It is written last, so that a folder with it is complete. Readers of Parquet skip
/// files whose names begin with `_`.
pub const MANIFEST_NAME: &str = "_manifest.json";

/// Largest manifest.
pub const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// A shard, as a manifest lists it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Shard {
    /// File name, relative to the manifest.
    pub name: String,
    pub rows: u64,
    pub bytes: u64,
    pub sha256: Digest,
}
