//! Which images of a dataset crawls wrote, so that they replace no others.
//!
//! A crawl *claims* images before it writes them. The claims of a part are a hidden file with a name per line. Once the
//! part is merged, its rows name the images, and [`super::merge`] deletes the claims. Invariant: an image that a crawl
//! wrote has a claim or a crawled row, unless a version without claims wrote it.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::rows::{IMPORT, METADATA, MergeError, RowReader};
use crate::files::{Files, Found};

const FOLDER: &str = ".subwatch/claims";
const MAX_CLAIMS_BYTES: u64 = 64 << 20;
/// Concurrent look-ups of files, which are requests if the dataset is in a bucket.
const LOOKUPS: usize = 16;

/// What is known of an image that is not claimed, since it exists already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Foreign {
    /// A row that no crawl wrote names it.
    Named,
    /// Nothing tells who wrote it.
    Unknown,
}

/// Claims `images`, which are file names, for a crawl of `part`. Returns those that it may not replace: they exist, and
/// no claim or row tells that a crawl wrote them.
///
/// # Errors
/// When the storage fails, or `metadata.jsonl` cannot be read.
pub async fn claim(
    files: &Files,
    part: &str,
    images: Vec<String>,
) -> Result<HashMap<String, Foreign>, MergeError> {
    let mut claims = read(files, &claims_file(part)).await?;
    let new: Vec<String> = images.into_iter().filter(|image| !claims.contains(image)).collect();
    if new.is_empty() {
        return Ok(HashMap::new());
    }
    let foreign = foreign(files, existing(files, &new).await?).await?;
    let count = claims.len();
    claims.extend(new.into_iter().filter(|image| !foreign.contains_key(image)));
    if claims.len() > count {
        let mut claims: Vec<String> = claims.into_iter().collect();
        claims.sort_unstable();
        files.write(&claims_file(part), Bytes::from(claims.join("\n"))).await?;
    }
    Ok(foreign)
}

/// Deletes the claims of `parts`, whose rows are in `metadata.jsonl`.
pub(super) async fn release(files: &Files, parts: &[String]) -> Result<(), MergeError> {
    let merged: HashSet<String> = parts.iter().map(|part| claims_file(part)).collect();
    for file in claims_files(files).await?.into_iter().filter(|file| merged.contains(file)) {
        files.remove(&file).await?;
    }
    Ok(())
}

fn claims_file(part: &str) -> String {
    format!("{FOLDER}/{part}.txt")
}

async fn claims_files(files: &Files) -> Result<Vec<String>, MergeError> {
    let add = |names: &mut Vec<String>, found: Found<'_>| {
        if let Found::File { name, .. } = found {
            names.push(name.to_owned());
        }
    };
    Ok(files.walk(Some(FOLDER), Vec::new(), add).await?)
}

/// Returns the images that a file claims; none if it does not exist or is not readable.
async fn read(files: &Files, file: &str) -> Result<HashSet<String>, MergeError> {
    match files.read(file, MAX_CLAIMS_BYTES).await {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()),
        Err(error) if error.is_retryable() => Err(error.into()),
        Err(_) => Ok(HashSet::new()),
    }
}

async fn existing(files: &Files, images: &[String]) -> Result<Vec<String>, MergeError> {
    let found: Vec<Option<String>> = stream::iter(images.to_vec())
        .map(|image| async move { files.has(&image).await.map(|exists| exists.then_some(image)) })
        .buffered(LOOKUPS)
        .boxed()
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

/// Returns those of the existing `images` that no claim of any part and no row of a crawl names.
async fn foreign(files: &Files, images: Vec<String>) -> Result<HashMap<String, Foreign>, MergeError> {
    let mut foreign: HashMap<String, Foreign> =
        images.into_iter().map(|image| (image, Foreign::Unknown)).collect();
    if foreign.is_empty() {
        return Ok(foreign);
    }
    for file in claims_files(files).await? {
        for image in read(files, &file).await? {
            foreign.remove(&image);
        }
    }
    if files.has(METADATA).await? {
        let mut rows = RowReader::open(files, METADATA).await?;
        while let Some(row) = rows.next().await? {
            let Some(image) = row.text_of("file_name") else { continue };
            if row.text_of("part").is_some_and(|part| !part.starts_with(IMPORT)) {
                foreign.remove(image);
            } else if let Some(foreign) = foreign.get_mut(image) {
                *foreign = Foreign::Named;
            }
        }
    }
    Ok(foreign)
}
