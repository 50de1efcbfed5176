//! Datasets in the *imagefolder* layout: image files, and metadata rows that refer to them.
//!
//! Reads a dataset as a stream of entries. Rows are the lines of `metadata.jsonl` and `metadata/*.jsonl`, one
//! JSON object each; without these files, every image file is an item. Invariants: an invalid row is rejected
//! with its file and line and does not affect others; video IDs and file names are unique, and a duplicate is
//! reported with both lines.
//!
//! Rows and items are not kept in memory: reading takes about 50 bytes a row, or 80 in a bucket (see
//! `rows.rs`). Without rows, all images are listed first, to sort them by name: about 80 bytes an image.

mod entry;
mod lines;
mod rows;

use std::{collections::VecDeque, vec};

use bytes::Bytes;
use images::decode::FILE_EXTENSIONS;

use self::rows::Rows;
pub use self::{
    entry::{Contents, DatasetError, DuplicateRow, Entry, RejectedRow},
    lines::MAX_LINE_BYTES as MAX_ROW_BYTES,
};
use crate::{
    files::{Files, ListedFile},
    manifest::ManifestItem,
};

/// A stream of a dataset's entries, in the order of its rows; without rows, sorted by name.
pub struct Dataset {
    source: ItemSource,
    /// Entries that were read but not returned yet.
    ready: VecDeque<(Entry, Bytes)>,
    row: Bytes,
    empty: bool,
}

enum ItemSource {
    Images(vec::IntoIter<ListedFile>),
    Rows(Box<Rows>),
}

impl Dataset {
    /// Opens a dataset: lists its metadata files, or its images.
    pub async fn open(files: &Files) -> Result<Self, DatasetError> {
        let main_file = "metadata.jsonl";
        let mut metadata: Vec<ListedFile> =
            files.size(main_file).await?.map(|bytes| (main_file.into(), bytes)).into_iter().collect();
        metadata.extend(files.list(Some("metadata"), |name| name.ends_with(".jsonl")).await?);
        let source = if metadata.is_empty() {
            ItemSource::Images(files.list(None, is_image).await?.into_iter())
        } else {
            ItemSource::Rows(Box::new(Rows::of(files, metadata, files.sizes().await?)))
        };
        Ok(Self { source, ready: VecDeque::new(), row: Bytes::new(), empty: true })
    }

    /// Whether the dataset has metadata rows.
    #[must_use]
    pub fn is_labelled(&self) -> bool {
        matches!(self.source, ItemSource::Rows(_))
    }

    /// Returns the next entry, or `None` at the end.
    ///
    /// # Errors
    /// When the metadata cannot be read, or the dataset has no entries.
    pub async fn next(&mut self) -> Result<Option<Entry>, DatasetError> {
        if self.ready.is_empty() {
            match &mut self.source {
                ItemSource::Rows(rows) => self.ready = rows.next_page().await?,
                ItemSource::Images(images) => {
                    self.ready.extend(images.next().map(|(name, bytes)| {
                        (Entry::Item(ManifestItem { bytes, ..ManifestItem::named(&name) }), Bytes::new())
                    }));
                }
            }
        }
        let next = self.ready.pop_front();
        if next.is_none() && self.empty {
            return Err(DatasetError::Empty);
        }
        self.empty = false;
        let (entry, row) = next.unzip();
        self.row = row.unwrap_or_default();
        Ok(entry)
    }

    /// Returns the raw row of the last entry, for columns that an item does not have. Empty if the dataset
    /// has no rows, or the row was too long.
    #[must_use]
    pub fn row(&self) -> &[u8] {
        &self.row
    }

    /// Reads all remaining entries.
    ///
    /// # Errors
    /// See [`Dataset::next`].
    pub async fn rest(&mut self) -> Result<Contents, DatasetError> {
        let mut contents = Contents::default();
        while let Some(entry) = self.next().await? {
            match entry {
                Entry::Item(item) => contents.items.push(item),
                Entry::Rejected(rejected) => contents.rejected.push(rejected),
                Entry::Duplicate(duplicate) => contents.duplicates.push(duplicate),
            }
        }
        Ok(contents)
    }
}

pub(crate) fn is_image(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, extension)| FILE_EXTENSIONS.contains(&extension.to_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    async fn read_dataset(files: &[(&str, &[u8])]) -> Result<(bool, Contents), DatasetError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let files = Files::open(&Url::from_directory_path(folder.path()).unwrap()).unwrap();
        let mut dataset = Dataset::open(&files).await?;
        let contents = dataset.rest().await?;
        Ok((dataset.is_labelled(), contents))
    }

    #[tokio::test]
    async fn items_are_in_the_order_of_rows() {
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
        assert_eq!(dataset, (true, Contents { items: expected.to_vec(), ..Contents::default() }));
    }

    #[tokio::test]
    async fn row_returns_the_raw_row_of_the_last_entry() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.jpg"), b"a").unwrap();
        let rows = "{\"file_name\":\"a.jpg\",\"category\":\"x\"}\n\n{\"no\":\"name\"}";
        std::fs::write(folder.path().join("metadata.jsonl"), rows).unwrap();
        let files = Files::open(&Url::from_directory_path(folder.path()).unwrap()).unwrap();
        let mut dataset = Dataset::open(&files).await.unwrap();
        let mut read = Vec::new();
        while dataset.next().await.unwrap().is_some() {
            read.push(String::from_utf8_lossy(dataset.row()).into_owned());
        }
        assert_eq!(read, ["{\"file_name\":\"a.jpg\",\"category\":\"x\"}", "{\"no\":\"name\"}"]);
        assert_eq!(dataset.row(), b"", "no entry was read");
    }

    #[tokio::test]
    async fn images_without_rows_are_sorted_by_name() {
        let (labelled, dataset) =
            read_dataset(&[("b.PNG", b"x"), ("a/c.jpg", b"y"), ("notes.txt", b"z"), (".x.jpg", b"h")])
                .await
                .unwrap();
        let names: Vec<&str> = dataset.items.iter().map(|item| item.item.as_str()).collect();
        assert_eq!((names, labelled), (vec!["a/c.jpg", "b.PNG"], false));
    }

    #[tokio::test]
    async fn invalid_rows_are_rejected_with_their_line() {
        let check = async |row: &[u8], item: &str, reason: &str| {
            let metadata = [b"{\"file_name\":\"a.jpg\"}\n", row].concat();
            let (_, dataset) = read_dataset(&[("a.jpg", b"x"), ("metadata.jsonl", &metadata)]).await.unwrap();
            assert_eq!(dataset.items.len(), 1, "the good row stays");
            assert_eq!(dataset.rejected.len(), 1, "{dataset:?}");
            assert_eq!(dataset.rejected[0].item, item);
            let failure = dataset.rejected[0].failure.to_string();
            assert!(failure.contains(reason), "{failure}");
        };
        check(b"{", "metadata.jsonl:2", "invalid-row: the row is not valid:").await;
        check(b"[1]", "metadata.jsonl:2", "invalid-row").await;
        check(b"{\"views\":1}", "metadata.jsonl:2", "missing field `file_name`").await;
        check(b"\xff\xfe", "metadata.jsonl:2", "not valid UTF-8").await;
        check(b"{\"file_name\":\"../etc/passwd\"}", "metadata.jsonl:2", "'../etc/passwd' is not a path")
            .await;
        check(b"{\"file_name\":\"b.jpg\"}", "b.jpg", "missing: the file named in metadata.jsonl:2").await;
        check(
            b"{\"file_name\":\"b.jpg\",\"views\":-3}",
            "b.jpg (metadata.jsonl:2)",
            "views must be a non-negative integer, not -3",
        )
        .await;
        check(b"{\"file_name\":\"b.jpg\",\"views\":1.5}", "b.jpg (metadata.jsonl:2)", "not 1.5").await;
        check(
            b"{\"file_name\":\"b.jpg\",\"subscribers\":\"12\"}",
            "b.jpg (metadata.jsonl:2)",
            "subscribers must be a non-negative integer, not \"12\"",
        )
        .await;
    }

    #[tokio::test]
    async fn long_rows_are_rejected_and_blank_ones_ignored() {
        let row = format!("{{\"file_name\":\"a.jpg\",\"title\":\"{}\"}}\n", "x".repeat(70_000));
        let blank = " ".repeat(70_000);
        let metadata = format!("{row}{blank}\n{{\"file_name\":\"a.jpg\"}}");
        let (_, dataset) =
            read_dataset(&[("a.jpg", b"x"), ("metadata.jsonl", metadata.as_bytes())]).await.unwrap();
        assert_eq!((dataset.items.len(), dataset.rejected.len()), (1, 1));
        assert_eq!(dataset.rejected[0].item, "metadata.jsonl:1");
        let failure = dataset.rejected[0].failure.to_string();
        assert!(failure.ends_with(&format!("the row has {} bytes, over the limit of 65536", row.len() - 1)));
    }

    #[tokio::test]
    async fn duplicates_are_reported_with_both_lines() {
        // Enough rows for several pages, in several files.
        let rows = |from: u32| -> String {
            (from..from + 600)
                .map(|n| format!("{{\"file_name\":\"{n}.jpg\",\"video_id\":\"V{n}\"}}\n"))
                .collect()
        };
        let again = "\n{\"file_name\":\"other.jpg\",\"video_id\":\"V0\"}\n{\"file_name\":\"700.jpg\"}";
        let (_, dataset) = read_dataset(&[
            ("metadata.jsonl", rows(0).as_bytes()),
            ("metadata/1.jsonl", rows(600).as_bytes()),
            ("metadata/2.jsonl", again.as_bytes()),
        ])
        .await
        .unwrap();
        let duplicates: Vec<String> = dataset.duplicates.iter().map(ToString::to_string).collect();
        assert_eq!(
            duplicates,
            [
                "duplicate video_id 'V0': metadata.jsonl:1 and metadata/2.jsonl:2",
                "duplicate file_name '700.jpg': metadata/1.jsonl:101 and metadata/2.jsonl:3"
            ]
        );
        assert_eq!(dataset.rejected.len(), 1200, "no image exists");
        assert_eq!(dataset.rejected[1199].item, "1199.jpg");
    }

    #[tokio::test]
    async fn dataset_without_entries_is_an_error() {
        assert!(matches!(read_dataset(&[("notes.txt", b"x")]).await, Err(DatasetError::Empty)));
        assert!(matches!(read_dataset(&[("metadata.jsonl", b"\n")]).await, Err(DatasetError::Empty)));
    }
}
