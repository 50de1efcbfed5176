//! Parts: numbered JSON Lines files, the storage format of manifests and run artifacts.
//!
//! Owns their file names and encoding. Beside the file of several chunks of a manifest, an index has the end of each
//! chunk, as u32 in little endian. Invariant: a file is written completely or not at all.

use bytes::Bytes;
use common::job::args::{ByteRange, Chunk, MAX_CHUNK_BYTES};
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use super::{
    Files,
    error::{FilesError, ReadError},
};

const MAX_PART_BYTES: u64 = MAX_CHUNK_BYTES;
/// A file has at most this many chunks.
pub const MAX_CHUNKS: usize = 1 << 16;

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
    #[error("the index of {part} has no chunk {chunk}")]
    NoChunk { part: Url, chunk: usize },
}

impl PartError {
    /// Whether a retry may succeed because the storage failed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Read(error) if error.is_retryable())
    }
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
        push_line(&mut bytes, line);
    }
    write_lines(folder, part, bytes).await
}

/// Appends a line as it is in a part.
pub fn push_line<T: Serialize>(bytes: &mut Vec<u8>, line: &T) {
    serde_json::to_writer(&mut *bytes, line).expect("plain data serializes to JSON");
    bytes.push(b'\n');
}

/// Writes lines that [`push_line`] has made.
pub async fn write_lines(folder: &Url, part: u32, lines: Vec<u8>) -> Result<(), PartError> {
    Files::open_artifacts(folder)?.write(&part_name(part), Bytes::from(lines)).await?;
    Ok(())
}

/// Writes the index of a part: where each of its chunks ends.
pub async fn write_index(folder: &Url, part: u32, ends: &[u32]) -> Result<(), PartError> {
    let bytes: Vec<u8> = ends.iter().flat_map(|end| end.to_le_bytes()).collect();
    Files::open_artifacts(folder)?.write(&index_name(part), Bytes::from(bytes)).await?;
    Ok(())
}

/// Reads where each chunk of a part ends.
pub async fn read_index(folder: &Url, part: u32) -> Result<Vec<u32>, PartError> {
    let limit = (MAX_CHUNKS * size_of::<u32>()) as u64;
    let bytes = Files::open_artifacts(folder)?.read(&index_name(part), limit).await?;
    let (ends, _) = bytes.as_chunks();
    Ok(ends.iter().map(|end| u32::from_le_bytes(*end)).collect())
}

/// Returns where a chunk is in a part; `None` if the index `ends` has fewer chunks.
#[must_use]
pub fn range_of(ends: &[u32], chunk: usize) -> Option<ByteRange> {
    let end = *ends.get(chunk)?;
    let offset = chunk.checked_sub(1).map_or(0, |before| ends[before]);
    Some(ByteRange { offset: offset.into(), bytes: end.saturating_sub(offset).into() })
}

/// Reads the items of a job.
///
/// # Errors
/// As [`read_range`].
pub async fn read_chunk<T: DeserializeOwned>(chunk: &Chunk) -> Result<Vec<T>, PartError> {
    read_range(&chunk.part, chunk.range).await
}

/// Reads one part.
///
/// # Errors
/// As [`read_range`].
pub async fn read_part<T: DeserializeOwned>(part: &Url) -> Result<Vec<T>, PartError> {
    read_range(part, None).await
}

/// Reads the lines of a part, or those in a range.
///
/// # Errors
/// When the part is missing, or what is read is over 32 MiB, or a line is not a valid `T`. Line numbers count from the start of the
/// range.
pub async fn read_range<T: DeserializeOwned>(
    part: &Url,
    range: Option<ByteRange>,
) -> Result<Vec<T>, PartError> {
    let folder = part.join("./").expect("a file's URL has a folder");
    let name = part.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
    let files = Files::open_artifacts(&folder)?;
    let bytes = match range {
        Some(range) if range.bytes > MAX_PART_BYTES => {
            let (name, bytes) = (name.to_owned(), range.bytes);
            return Err(ReadError::TooLarge { name, bytes, limit: MAX_PART_BYTES }.into());
        }
        Some(range) => files.read_range(name, range).await?,
        None => files.read(name, MAX_PART_BYTES).await?,
    };
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

fn index_name(part: u32) -> String {
    format!("{part:05}.index")
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
    async fn chunks_are_read_by_their_index() {
        let folder = tempfile::tempdir().unwrap();
        let url = Url::from_directory_path(folder.path()).unwrap();
        let (mut lines, mut ends) = (Vec::new(), Vec::new());
        for chunk in [&["a", "b"][..], &["여행"], &["c", "d", "e"]] {
            chunk.iter().for_each(|name| push_line(&mut lines, &ManifestItem::named(name)));
            ends.push(lines.len() as u32);
        }
        write_lines(&url, 3, lines).await.unwrap();
        write_index(&url, 3, &ends).await.unwrap();
        let index = read_index(&url, 3).await.unwrap();
        let read = async |range| {
            let items: Vec<ManifestItem> = read_range(&part_url(&url, 3), Some(range)).await.unwrap();
            items.into_iter().map(|item| item.item).collect::<Vec<_>>()
        };
        assert_eq!(read(range_of(&index, 0).unwrap()).await, ["a", "b"]);
        assert_eq!(read(range_of(&index, 1).unwrap()).await, ["여행"]);
        assert_eq!(read(range_of(&index, 2).unwrap()).await, ["c", "d", "e"]);
        assert_eq!(range_of(&index, 3), None);
        for range in [ByteRange { offset: 3, bytes: 1 << 20 }, ByteRange { offset: 1 << 20, bytes: 1 }] {
            let error = read_range::<ManifestItem>(&part_url(&url, 3), Some(range)).await.unwrap_err();
            assert!(error.to_string().contains("bytes at"), "{error}");
        }
        let huge = ByteRange { offset: 0, bytes: MAX_PART_BYTES + 1 };
        assert!(read_range::<ManifestItem>(&part_url(&url, 3), Some(huge)).await.is_err());
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
