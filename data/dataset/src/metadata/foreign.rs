//! Which images of a dataset a crawl may not replace: those that no crawl wrote.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::rows::{IMPORT, METADATA, MergeError, RowReader};
use crate::files::Files;

/// Concurrent look-ups of files, which are requests if the dataset is in a bucket.
const LOOKUPS: usize = 16;

/// Why a crawl may not replace an image that exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Foreign {
    /// A row that no crawl wrote names it.
    Named,
    /// No row names it.
    Unknown,
}

/// Returns those of `images`, which are file names, that exist and that no row of a crawl names.
///
/// # Errors
/// When the storage fails, or `metadata.jsonl` cannot be read.
pub async fn foreign_images(
    files: &Files,
    images: Vec<String>,
) -> Result<HashMap<String, Foreign>, MergeError> {
    let existing: Vec<Option<String>> = stream::iter(images)
        .map(|image| async move { files.has(&image).await.map(|exists| exists.then_some(image)) })
        .buffered(LOOKUPS)
        .boxed()
        .try_collect()
        .await?;
    let existing = existing.into_iter().flatten().map(|image| (image, Foreign::Unknown));
    let mut foreign: HashMap<String, Foreign> = existing.collect();
    if foreign.is_empty() || !files.has(METADATA).await? {
        return Ok(foreign);
    }
    let mut rows = RowReader::open(files, METADATA).await?;
    while let Some(row) = rows.next().await? {
        let Some(image) = row.text_of("file_name") else { continue };
        if row.text_of("part").is_some_and(|part| !part.starts_with(IMPORT)) {
            foreign.remove(image);
        } else if let Some(foreign) = foreign.get_mut(image) {
            *foreign = Foreign::Named;
        }
    }
    Ok(foreign)
}
