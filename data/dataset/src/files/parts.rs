//! Parts: numbered JSON Lines files, the storage format of manifests and run artifacts.
//!
//! Owns their file names and encoding. Invariant: a part is written completely or not at all.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use super::{
    Files,
    error::{FilesError, ReadError},
};

/// Enough for 1,024 items, whose names, IDs and carried values have at most 24 KiB of JSON each.
const MAX_PART_BYTES: u64 = 32 << 20;

#[derive(Debug, thiserror::Error)]
pub enum PartError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("{part} line {line}: {error}")]
    Line {
        part: Url,
        /// From 1.
        line: usize,
        error: serde_json::Error,
    },
}

/// Returns the URL of part `part` in `folder`.
///
/// # Panics
/// When `folder` is a URL without a path.
#[must_use]
pub fn part_url(folder: &Url, part: u32) -> Url {
    folder.join(&part_name(part)).expect("a folder's URL takes a file name")
}

pub async fn write_part<T: Serialize>(folder: &Url, part: u32, lines: &[T]) -> Result<(), PartError> {
    let mut bytes = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut bytes, line).expect("plain data serializes to JSON");
        bytes.push(b'\n');
    }
    Files::open_artifacts(folder)?.write(&part_name(part), Bytes::from(bytes)).await?;
    Ok(())
}

/// Reads one part.
///
/// # Errors
/// When it is missing or over 32 MiB, or a line is not a valid `T`.
pub async fn read_part<T: DeserializeOwned>(part: &Url) -> Result<Vec<T>, PartError> {
    let folder = part.join("./").expect("a file's URL has a folder");
    let name = part.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
    let bytes = Files::open_artifacts(&folder)?.read(name, MAX_PART_BYTES).await?;
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).zip(1..);
    lines
        .map(|(text, line)| {
            serde_json::from_slice(text).map_err(|error| PartError::Line { part: part.clone(), line, error })
        })
        .collect()
}

fn part_name(part: u32) -> String {
    format!("{part:05}.jsonl")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::ManifestItem;

    #[tokio::test]
    async fn part_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let url = Url::from_directory_path(folder.path().join("manifests")).unwrap();
        let items = vec![
            ManifestItem { views: Some(3), ..ManifestItem::named("thumbnails/여행 #1.jpg") },
            ManifestItem::uploaded("mine", 5, common::digest::Digest::of(b"mine")),
        ];
        write_part(&url, 7, &items).await.unwrap();
        assert_eq!(read_part::<ManifestItem>(&part_url(&url, 7)).await.unwrap(), items);
        assert!(read_part::<ManifestItem>(&part_url(&url, 8)).await.is_err());
    }

    #[tokio::test]
    async fn parse_error_names_the_line() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("00000.jsonl"), "{\"item\":\"a\",\"bytes\":1}\nnonsense\n")
            .unwrap();
        let url = Url::from_directory_path(folder.path()).unwrap();
        let error = read_part::<ManifestItem>(&part_url(&url, 0)).await.unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
