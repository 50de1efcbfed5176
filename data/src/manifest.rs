//! Manifests: what a submission is about, fixed when it is made.
//!
//! Owns the item and its numbered parts, one JSON object a line. Does not own which items there are (see
//! [`crate::imagefolder`]). Invariant: a part is written whole or not at all, and never changes.

use bytes::Bytes;
use common::ids::Digest;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::files::{Files, FilesError, ReadError};

/// Largest part that is read.
const MAX_PART_BYTES: u64 = 16 << 20;

/// One image of a submission.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ManifestItem {
    /// File name relative to the dataset, or the name an upload was given.
    pub item: String,
    /// Size of the file.
    pub bytes: u64,
    /// SHA-256 of the file, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// Video the image belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_id: Option<String>,
    /// Channel of the video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<String>,
    /// Views of the video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub views: Option<u64>,
    /// Subscribers of the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscribers: Option<u64>,
}

impl ManifestItem {
    /// Makes an item that has a name and nothing else.
    #[must_use]
    pub fn named(item: &str) -> Self {
        Self {
            item: item.to_owned(),
            bytes: 0,
            sha256: None,
            video_id: None,
            channel_id: None,
            views: None,
            subscribers: None,
        }
    }

    /// Makes the item of an uploaded image.
    #[must_use]
    pub fn uploaded(item: &str, bytes: u64, sha256: Digest) -> Self {
        Self { bytes, sha256: Some(sha256), ..Self::named(item) }
    }
}

/// Why a part cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Its folder cannot be opened.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A line is no item.
    #[error("{part} line {line}: {error}")]
    Line {
        /// The part.
        part: Url,
        /// The line, from 1.
        line: usize,
        /// What serde said.
        error: serde_json::Error,
    },
}

/// Returns where part `part` of the manifest in `folder` lies.
///
/// # Panics
/// When `folder` is a URL that cannot have a path.
#[must_use]
pub fn part_url(folder: &Url, part: u32) -> Url {
    folder.join(&part_name(part)).expect("a folder's URL takes a file name")
}

/// Writes one part.
///
/// # Errors
/// When the folder cannot be written to.
pub async fn write_part(folder: &Url, part: u32, items: &[ManifestItem]) -> Result<(), ManifestError> {
    let mut lines = Vec::new();
    for item in items {
        serde_json::to_writer(&mut lines, item).expect("an item is plain data");
        lines.push(b'\n');
    }
    Files::open(folder)?.write(&part_name(part), Bytes::from(lines)).await?;
    Ok(())
}

/// Reads one part.
///
/// # Errors
/// When it is not there, too large, or a line of it is no item.
pub async fn read_part(part: &Url) -> Result<Vec<ManifestItem>, ManifestError> {
    let folder = part.join("./").expect("a file's URL has a folder");
    let name = part.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
    let bytes = Files::open(&folder)?.read(name, MAX_PART_BYTES).await?;
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).zip(1..);
    lines
        .map(|(text, line)| {
            serde_json::from_slice(text).map_err(|error| ManifestError::Line {
                part: part.clone(),
                line,
                error,
            })
        })
        .collect()
}

fn part_name(part: u32) -> String {
    format!("{part:05}.jsonl")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn parts_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let url = Url::from_directory_path(folder.path().join("manifests")).unwrap();
        let items = vec![
            ManifestItem { views: Some(3), ..ManifestItem::named("thumbnails/여행 #1.jpg") },
            ManifestItem::uploaded("mine", 5, Digest::of(b"mine")),
        ];
        write_part(&url, 7, &items).await.unwrap();
        assert_eq!(read_part(&part_url(&url, 7)).await.unwrap(), items);
        assert!(read_part(&part_url(&url, 8)).await.is_err());
    }

    #[tokio::test]
    async fn a_broken_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("00000.jsonl"), "{\"item\":\"a\",\"bytes\":1}\nnonsense\n")
            .unwrap();
        let url = Url::from_directory_path(folder.path()).unwrap();
        let error = read_part(&part_url(&url, 0)).await.unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
