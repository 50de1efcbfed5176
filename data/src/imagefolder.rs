//! Datasets in the *imagefolder* convention: images, and rows of metadata that name them.
//!
//! Owns reading a dataset into items. Rows are `metadata.jsonl` and the parts `metadata/*.jsonl`, one JSON
//! object a line; without any, every image file is an item. Invariants: a bad row is rejected alone, with
//! its file and line; ids and files are unique, and a duplicate is an error naming both lines; a missing
//! number is missing, never zero.

use std::collections::HashMap;

use common::outcome::{FailureReason, ItemFailure};
use serde::Deserialize;

use crate::{
    files::{Files, FilesError, ReadError, is_confined},
    manifest::ManifestItem,
};

/// Largest file of metadata.
const MAX_METADATA_BYTES: u64 = 1 << 30;
/// Longest row.
const MAX_ROW_BYTES: usize = 64 << 10;
/// Names that end like this are images.
const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "webp", "gif", "bmp"];

/// A dataset's items, in the order of its rows, or by name where there are none.
#[derive(Clone, PartialEq, Debug)]
pub struct Dataset {
    /// The usable items.
    pub items: Vec<ManifestItem>,
    /// Rows that are none.
    pub rejected: Vec<Rejected>,
    /// Whether there are rows of metadata.
    pub labelled: bool,
}

/// A row that makes no item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejected {
    /// The row's file name where it has one, with its line: `thumbnails/x.jpg (metadata.jsonl:17)`.
    pub item: String,
    /// What is wrong with it.
    pub failure: ItemFailure,
}

/// Why a folder is no dataset.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// It cannot be listed.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// Its metadata cannot be read.
    #[error("the metadata cannot be read: {0}")]
    Metadata(#[from] ReadError),
    /// It holds neither rows nor images.
    #[error("the dataset is empty: it holds neither rows of metadata nor images (jpg, png, webp, gif, bmp)")]
    Empty,
    /// Two rows are about the same video or file.
    #[error(transparent)]
    Duplicate(#[from] Duplicate),
}

/// Two rows about the same video or file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what} '{value}' stands twice: {first} and {second}")]
pub struct Duplicate {
    /// `video id` or `file name`.
    pub what: &'static str,
    /// The value.
    pub value: String,
    /// `file:line` of the first.
    pub first: String,
    /// `file:line` of the second.
    pub second: String,
}

/// A row, as far as it matters here; unknown columns are ignored.
#[derive(Deserialize)]
struct Row {
    file_name: String,
    #[serde(default)]
    video_id: Option<String>,
    #[serde(default)]
    channel_id: Option<String>,
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    views: Option<Count>,
    #[serde(default)]
    subscribers: Option<Count>,
}

/// A number in a row: whatever it is, so that the error can name it.
#[derive(Deserialize)]
#[serde(transparent)]
struct Count(serde_json::Value);

impl Count {
    fn read(column: &str, count: Option<Self>) -> Result<Option<u64>, String> {
        let Some(Self(value)) = count else { return Ok(None) };
        if value.is_null() {
            return Ok(None);
        }
        let number = value.as_u64().or_else(|| {
            let number = value.as_f64()?;
            (number >= 0.0 && number.fract() == 0.0 && number < 9e15).then_some(number as u64)
        });
        number.map(Some).ok_or_else(|| format!("{column} is {value}, which is no count"))
    }
}

/// Reads a dataset.
///
/// # Errors
/// See [`DatasetError`].
pub async fn read(files: &Files) -> Result<Dataset, DatasetError> {
    let (dataset, duplicates) = inspect(files).await?;
    match duplicates.into_iter().next() {
        Some(duplicate) => Err(duplicate.into()),
        None => Ok(dataset),
    }
}

/// Reads a dataset although it may have duplicates, which are left out of it and returned beside it.
///
/// # Errors
/// See [`DatasetError`]; never [`DatasetError::Duplicate`].
pub async fn inspect(files: &Files) -> Result<(Dataset, Vec<Duplicate>), DatasetError> {
    let mut listed = files.list().await?;
    listed.sort();
    let is_metadata =
        |name: &str| name == "metadata.jsonl" || (name.starts_with("metadata/") && name.ends_with(".jsonl"));
    let metadata: Vec<&str> =
        listed.iter().map(|(name, _)| name.as_str()).filter(|name| is_metadata(name)).collect();
    let mut duplicates = Vec::new();
    let dataset = if metadata.is_empty() {
        let images = listed.iter().filter(|(name, _)| is_image(name));
        let items = images.map(|(name, bytes)| ManifestItem { bytes: *bytes, ..ManifestItem::named(name) });
        Dataset { items: items.collect(), rejected: Vec::new(), labelled: false }
    } else {
        let sizes = listed.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
        let mut reader = Reader { sizes, ..Reader::default() };
        for name in metadata {
            reader.read_file(name, &files.read(name, MAX_METADATA_BYTES).await?);
        }
        duplicates = reader.duplicates;
        Dataset { items: reader.items, rejected: reader.rejected, labelled: true }
    };
    if dataset.items.is_empty() && dataset.rejected.is_empty() {
        Err(DatasetError::Empty)
    } else {
        Ok((dataset, duplicates))
    }
}

fn is_image(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, extension)| EXTENSIONS.contains(&extension.to_lowercase().as_str()))
}

#[derive(Default)]
struct Reader<'a> {
    sizes: HashMap<&'a str, u64>,
    items: Vec<ManifestItem>,
    rejected: Vec<Rejected>,
    duplicates: Vec<Duplicate>,
    videos: HashMap<String, String>,
    names: HashMap<String, String>,
}

impl Reader<'_> {
    fn read_file(&mut self, file: &str, bytes: &[u8]) {
        for (line, text) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            if !text.trim_ascii().is_empty() {
                self.read_row(&format!("{file}:{line}"), text);
            }
        }
    }

    fn read_row(&mut self, place: &str, text: &[u8]) {
        let row = match parse_row(text) {
            Ok(row) => row,
            Err((item, detail)) => {
                let item = item.map_or_else(|| place.to_owned(), |item| format!("{item} ({place})"));
                let failure = ItemFailure::new(FailureReason::InvalidRow, detail);
                self.rejected.push(Rejected { item, failure });
                return;
            }
        };
        let video = row.video_id.clone().unwrap_or_default();
        let found = unique("video id", &mut self.videos, video, place)
            .and_then(|()| unique("file name", &mut self.names, row.item.clone(), place));
        if let Err(duplicate) = found {
            self.duplicates.push(duplicate);
            return;
        }
        match self.sizes.get(row.item.as_str()) {
            Some(bytes) => self.items.push(ManifestItem { bytes: *bytes, ..row }),
            None => self.rejected.push(Rejected {
                failure: ItemFailure::new(
                    FailureReason::Missing,
                    format!("the file that {place} names is not there"),
                ),
                item: row.item,
            }),
        }
    }
}

fn unique(
    what: &'static str,
    seen: &mut HashMap<String, String>,
    value: String,
    place: &str,
) -> Result<(), Duplicate> {
    match seen.get(&value) {
        Some(first) => Err(Duplicate { what, value, first: first.clone(), second: place.to_owned() }),
        None => {
            seen.insert(value, place.to_owned());
            Ok(())
        }
    }
}

/// Parses a row into an item without its size; on failure returns the file name, where there is one, and
/// what is wrong.
fn parse_row(text: &[u8]) -> Result<ManifestItem, (Option<String>, String)> {
    if text.len() > MAX_ROW_BYTES {
        return Err((None, format!("the row has {} bytes, over the limit of {MAX_ROW_BYTES}", text.len())));
    }
    let text = std::str::from_utf8(text).map_err(|error| (None, format!("the row is no UTF-8: {error}")))?;
    let row: Row =
        serde_json::from_str(text).map_err(|error| (None, format!("the row is no metadata: {error}")))?;
    let name = row.file_name;
    if !is_confined(&name) {
        return Err((None, format!("file_name '{name}' is no name of a file below the dataset")));
    }
    let views = Count::read("views", row.views).map_err(|detail| (Some(name.clone()), detail))?;
    let subscribers =
        Count::read("subscribers", row.subscribers).map_err(|detail| (Some(name.clone()), detail))?;
    let stem = || name.rsplit('/').next().and_then(|file| file.split('.').next()).unwrap_or(&name).to_owned();
    let video_id = Some(row.video_id.filter(|id| !id.is_empty()).unwrap_or_else(stem));
    let channel_id = row.channel_id.filter(|id| !id.is_empty());
    let channel = row.channel.filter(|channel| !channel.is_empty());
    Ok(ManifestItem { video_id, channel_id, channel, views, subscribers, ..ManifestItem::named(&name) })
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    async fn read_dataset(files: &[(&str, &[u8])]) -> Result<Dataset, DatasetError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        read(&Files::open(&Url::from_directory_path(folder.path()).unwrap()).unwrap()).await
    }

    #[tokio::test]
    async fn rows_and_parts_make_items_in_order() {
        let dataset = read_dataset(&[
            ("thumbnails/b.jpg", b"bb"),
            ("thumbnails/a.jpg", b"a"),
            ("metadata.jsonl", b"{\"file_name\":\"thumbnails/b.jpg\",\"views\":7,\"subscribers\":2,\"title\":\"x\"}\n\n"),
            ("metadata/1.jsonl", b"{\"file_name\":\"thumbnails/a.jpg\",\"video_id\":\"V\",\"channel_id\":\"C\",\"views\":null}"),
        ])
        .await
        .unwrap();
        let expected = [
            ManifestItem {
                bytes: 2,
                video_id: Some("b".to_owned()),
                views: Some(7),
                subscribers: Some(2),
                ..ManifestItem::named("thumbnails/b.jpg")
            },
            ManifestItem {
                bytes: 1,
                video_id: Some("V".to_owned()),
                channel_id: Some("C".to_owned()),
                ..ManifestItem::named("thumbnails/a.jpg")
            },
        ];
        assert_eq!(dataset, Dataset { items: expected.to_vec(), rejected: Vec::new(), labelled: true });
    }

    #[tokio::test]
    async fn images_without_rows_are_items_by_name() {
        let dataset =
            read_dataset(&[("b.PNG", b"x"), ("a/c.jpg", b"y"), ("notes.txt", b"z"), (".x.jpg", b"h")])
                .await
                .unwrap();
        let names: Vec<&str> = dataset.items.iter().map(|item| item.item.as_str()).collect();
        assert_eq!((names, dataset.labelled), (vec!["a/c.jpg", "b.PNG"], false));
    }

    #[tokio::test]
    async fn bad_rows_are_rejected_alone_with_their_line() {
        let check = async |row: &[u8], item: &str, reason: &str| {
            let metadata = [b"{\"file_name\":\"a.jpg\"}\n", row].concat();
            let dataset = read_dataset(&[("a.jpg", b"x"), ("metadata.jsonl", &metadata)]).await.unwrap();
            assert_eq!(dataset.items.len(), 1, "the good row stays");
            assert_eq!(dataset.rejected.len(), 1, "{dataset:?}");
            assert_eq!(dataset.rejected[0].item, item);
            let failure = dataset.rejected[0].failure.to_string();
            assert!(failure.contains(reason), "{failure}");
        };
        check(b"{", "metadata.jsonl:2", "invalid-row: the row is no metadata").await;
        check(b"[1]", "metadata.jsonl:2", "invalid-row").await;
        check(b"{\"views\":1}", "metadata.jsonl:2", "missing field `file_name`").await;
        check(b"\xff\xfe", "metadata.jsonl:2", "no UTF-8").await;
        check(b"{\"file_name\":\"../etc/passwd\"}", "metadata.jsonl:2", "'../etc/passwd' is no name").await;
        check(b"{\"file_name\":\"b.jpg\"}", "b.jpg", "missing: the file that metadata.jsonl:2 names").await;
        check(
            b"{\"file_name\":\"b.jpg\",\"views\":-3}",
            "b.jpg (metadata.jsonl:2)",
            "views is -3, which is no count",
        )
        .await;
        check(b"{\"file_name\":\"b.jpg\",\"views\":1.5}", "b.jpg (metadata.jsonl:2)", "views is 1.5").await;
        check(
            b"{\"file_name\":\"b.jpg\",\"subscribers\":\"12\"}",
            "b.jpg (metadata.jsonl:2)",
            "subscribers is \"12\"",
        )
        .await;
    }

    #[tokio::test]
    async fn duplicates_name_both_lines() {
        let error = read_dataset(&[(
            "metadata.jsonl",
            b"{\"file_name\":\"a.jpg\",\"video_id\":\"V\"}\n{\"file_name\":\"b.jpg\",\"video_id\":\"V\"}",
        )])
        .await
        .unwrap_err();
        assert_eq!(error.to_string(), "video id 'V' stands twice: metadata.jsonl:1 and metadata.jsonl:2");
    }

    #[tokio::test]
    async fn nothing_is_no_dataset() {
        assert!(matches!(read_dataset(&[("notes.txt", b"x")]).await, Err(DatasetError::Empty)));
        assert!(matches!(read_dataset(&[("metadata.jsonl", b"\n")]).await, Err(DatasetError::Empty)));
    }
}
