//! Datasets in the *imagefolder* layout: image files, and metadata rows that refer to them.
//!
//! Reads a dataset as a stream of entries: the rows of `metadata.jsonl`, `.csv` or `.parquet` in any folder, whose
//! file names are relative to it, and of `metadata/*.jsonl`; then the images that no row names. Invariants: an
//! invalid row is rejected with its file and line and does not affect others; video IDs and file names are unique,
//! and a duplicate is reported with both lines; no image and no row is left out without being named or counted.
//!
//! Rows and items are not kept in memory: reading takes about 50 bytes a row, or 80 in a bucket (see
//! `rows.rs`). The folder is walked twice: for metadata files, and for the images without a row, which are listed before
//! the first is returned, to sort them by name: about 80 bytes each. Without metadata files, it is walked once.

mod entry;
pub(crate) mod lines;
mod names;
mod rows;
mod survey;
mod table;

use std::{collections::VecDeque, vec};

use bytes::Bytes;

pub use self::{
    entry::{Contents, DatasetError, DuplicateRow, Entry, RejectedRow, SkippedFiles},
    lines::MAX_LINE_BYTES as MAX_ROW_BYTES,
    names::other_spellings,
};
use self::{
    rows::Rows,
    survey::{Rest, Survey},
};
use crate::{
    files::{Files, Lookup, Resolved},
    manifest::ManifestItem,
};

/// Images whose sizes are read together.
const PAGE_IMAGES: usize = 256;

/// A stream of a dataset's entries: in the order of its rows, then what cannot be read, then the images without a row,
/// both sorted by name.
pub struct Dataset {
    files: Files,
    lookup: Lookup,
    source: Source,
    /// Entries that were read but not returned yet.
    ready: VecDeque<(Entry, Bytes)>,
    row: Bytes,
    is_empty: bool,
    is_labelled: bool,
    skipped_files: SkippedFiles,
}

enum Source {
    Rows(Box<Rows>),
    Images(vec::IntoIter<Box<str>>),
}

impl Dataset {
    /// Opens a dataset: finds its metadata files.
    pub async fn open(files: &Files) -> Result<Self, DatasetError> {
        let Survey { metadata, sizes, rest } = Survey::of(files).await?;
        let mut dataset = Self {
            files: files.clone(),
            lookup: files.lookup(sizes),
            is_labelled: !metadata.is_empty(),
            source: Source::Rows(Box::new(Rows::of(files, metadata))),
            ready: VecDeque::new(),
            row: Bytes::new(),
            is_empty: true,
            skipped_files: SkippedFiles::default(),
        };
        if let Some(rest) = rest {
            dataset.ready = dataset.start(rest);
        }
        Ok(dataset)
    }

    /// Starts to read the files that no row names. Returns those that cannot be read.
    fn start(&mut self, rest: Rest) -> VecDeque<(Entry, Bytes)> {
        self.skipped_files = rest.skipped_files;
        self.source = Source::Images(rest.images.into_iter());
        rest.refused.into_iter().map(|row| (Entry::Rejected(row), Bytes::new())).collect()
    }

    /// Whether the dataset has metadata rows.
    #[must_use]
    pub fn is_labelled(&self) -> bool {
        self.is_labelled
    }

    /// Files without a row that are neither images nor metadata. Known once the last entry was returned.
    #[must_use]
    pub fn skipped_files(&self) -> &SkippedFiles {
        &self.skipped_files
    }

    /// Returns the next entry, or `None` at the end.
    ///
    /// # Errors
    /// When the metadata cannot be read, or the dataset has no entries.
    pub async fn next(&mut self) -> Result<Option<Entry>, DatasetError> {
        while self.ready.is_empty()
            && let Some(page) = self.next_page().await?
        {
            self.ready = page;
        }
        let next = self.ready.pop_front();
        if next.is_none() && self.is_empty {
            return Err(DatasetError::Empty { skipped_files: self.skipped_files.clone() });
        }
        self.is_empty = false;
        let (entry, row) = next.unzip();
        self.row = row.unwrap_or_default();
        Ok(entry)
    }

    /// Returns the next entries with their rows, or `None` at the end. A page may be empty.
    async fn next_page(&mut self) -> Result<Option<VecDeque<(Entry, Bytes)>>, DatasetError> {
        match &mut self.source {
            Source::Rows(rows) => {
                let page = rows.next_page(&self.lookup).await?;
                if page.is_empty() {
                    let rest = Rest::of(&self.files, rows.take_names()).await?;
                    return Ok(Some(self.start(rest)));
                }
                Ok(Some(page))
            }
            Source::Images(images) => {
                let names: Vec<String> = images.take(PAGE_IMAGES).map(Into::into).collect();
                if names.is_empty() {
                    return Ok(None);
                }
                let files = self.lookup.resolve(names.clone()).await;
                // An image without a size was deleted since it was listed.
                let item = |(name, file): (String, Option<Resolved>)| {
                    let bytes = file?.bytes;
                    let item = ManifestItem { bytes, without_row: true, ..ManifestItem::named(&name) };
                    Some((Entry::Item(item), Bytes::new()))
                };
                Ok(Some(names.into_iter().zip(files).filter_map(item).collect()))
            }
        }
    }

    /// Returns the raw row of the last entry as JSON, for columns that an item does not have. Empty if the entry has
    /// no row, or the row is unreadable.
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
    async fn names_in_two_folders_are_two_items() {
        let rows = b"{\"file_name\":\"cat/1.jpg\"}\n{\"file_name\":\"dog/1.jpg\"}";
        let (_, dataset) =
            read_dataset(&[("cat/1.jpg", b"x"), ("dog/1.jpg", b"y"), ("metadata.jsonl", rows)])
                .await
                .unwrap();
        assert_eq!(names(&dataset), ["cat/1.jpg", "dog/1.jpg"]);
        assert!(dataset.duplicates.is_empty() && dataset.items[0].video_id.is_none());
    }

    #[tokio::test]
    async fn metadata_of_each_folder_names_its_files() {
        let csv = "file_name,views,subscribers\na.jpg,10,2\nb.jpg,NA,4\n";
        let (labelled, dataset) = read_dataset(&[
            ("train/a.jpg", b"x"),
            ("train/b.jpg", b"y"),
            ("train/metadata.csv", csv.as_bytes()),
            ("test/a.jpg", b"z"),
            (
                "test/metadata.jsonl",
                b"\xef\xbb\xbf{\"file_name\":\"a.jpg\",\"views\":NaN,\"video_id\":12345}\r\n",
            ),
        ])
        .await
        .unwrap();
        assert!(labelled && dataset.rejected.is_empty(), "{dataset:?}");
        assert_eq!(names(&dataset), ["test/a.jpg", "train/a.jpg", "train/b.jpg"]);
        assert_eq!(dataset.items[0].video_id.as_deref(), Some("12345"));
        let views: Vec<Option<u64>> = dataset.items.iter().map(|item| item.views).collect();
        assert_eq!(views, [None, Some(10), None]);
    }

    #[tokio::test]
    async fn unusable_tables_are_errors_and_their_bad_rows_are_rejected() {
        let csv = "file_name,views\r\n\r\na.jpg,1,2\r\na.jpg,\"1,000\"\r\na.jpg,3\r\n";
        let (_, dataset) = read_dataset(&[("a.jpg", b"x"), ("metadata.csv", csv.as_bytes())]).await.unwrap();
        let rejected: Vec<String> =
            dataset.rejected.iter().map(|row| format!("{}: {}", row.item, row.failure)).collect();
        assert_eq!(dataset.items[0].views, Some(3));
        assert_eq!(
            rejected,
            [
                "metadata.csv:3: invalid-row: expected 2 cells as in the header, found 3",
                "a.jpg (metadata.csv:4): invalid-row: views must be a non-negative integer, not \"1,000\"",
            ]
        );
        let error = read_dataset(&[("metadata.csv", b"name\nx\n")]).await.unwrap_err().to_string();
        assert_eq!(error, "metadata.csv cannot be read: it has no column file_name");
        let both = [("metadata.csv", &b"file_name\n"[..]), ("metadata.jsonl", b"")];
        let error = read_dataset(&both).await.unwrap_err().to_string();
        assert!(error.starts_with("metadata.csv and metadata.jsonl are in the same folder"), "{error}");
    }

    #[tokio::test]
    async fn rows_name_files_as_windows_does() {
        let rows =
            b"{\"file_name\":\"./t/a.jpg\"}\n{\"file_name\":\"t\\\\b.jpg\"}\n{\"file_name\":\"t/b.jpg\"}";
        let (_, dataset) =
            read_dataset(&[("t/a.jpg", b"x"), ("t/b.jpg", b"y"), ("metadata.jsonl", rows)]).await.unwrap();
        assert_eq!(names(&dataset), ["t/a.jpg", "t/b.jpg"]);
        assert_eq!(
            dataset.duplicates[0].to_string(),
            "duplicate file_name 't/b.jpg': metadata.jsonl:2 and metadata.jsonl:3"
        );
        let (_, dataset) = read_dataset(&[
            ("t\\b.jpg", b"x"),
            ("t/b.jpg", b"y"),
            ("metadata.jsonl", b"{\"file_name\":\"t\\\\b.jpg\"}"),
        ])
        .await
        .unwrap();
        assert_eq!(names(&dataset), ["t\\b.jpg", "t/b.jpg"], "a file of this name comes first");
    }

    #[tokio::test]
    async fn rows_name_files_in_any_normalisation_form() {
        let (composed, decomposed) = ("Caf\u{e9}.jpg", "u\u{308}.jpg");
        let rows = "{\"file_name\":\"Cafe\u{301}.jpg\"}\n{\"file_name\":\"\u{fc}.jpg\"}\n{\"file_name\":\"n\u{303}.jpg\"}";
        let files = [(composed, &b"x"[..]), (decomposed, b"y"), ("metadata.jsonl", rows.as_bytes())];
        let (_, dataset) = read_dataset(&files).await.unwrap();
        assert_eq!(names(&dataset), [composed, decomposed]);
        assert_eq!(dataset.rejected[0].item, "n\u{303}.jpg", "{dataset:?}");
    }

    #[tokio::test]
    async fn images_without_a_row_follow_the_rows() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in [
            "store/a.jpg",
            "store/b.jpg",
            "store/bad.jpg",
            "c.jfif",
            "d.JPE",
            "e.tiff",
            "._a.jpg",
            "notes.txt",
        ] {
            std::fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            std::fs::write(root.join(name), b"x").unwrap();
        }
        std::os::unix::fs::symlink("store", root.join("thumbnails")).unwrap();
        let rows = "{\"file_name\":\"thumbnails/a.jpg\"}\n{\"file_name\":\"store/bad.jpg\",\"views\":-1}\n{\"file_name\":\"e.tiff\"}";
        std::fs::write(root.join("metadata.jsonl"), rows).unwrap();
        let files = Files::open(&Url::from_directory_path(root).unwrap()).unwrap();
        let mut dataset = Dataset::open(&files).await.unwrap();
        let contents = dataset.rest().await.unwrap();
        let items: Vec<(&str, bool)> =
            contents.items.iter().map(|item| (item.item.as_str(), item.without_row)).collect();
        let want = [
            ("thumbnails/a.jpg", false),
            ("e.tiff", false),
            ("c.jfif", true),
            ("d.JPE", true),
            ("store/b.jpg", true),
        ];
        assert_eq!(items, want);
        assert_eq!(contents.rejected.len(), 1, "{contents:?}");
        assert_eq!(dataset.skipped_files().to_string(), "1 txt");
    }

    #[tokio::test]
    async fn names_that_are_not_text_are_rejected() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        for name in [&b"a.jpg"[..], b"Ni\xf1o.jpg", b"Ni\xf1o.txt"] {
            std::fs::write(folder.path().join(std::ffi::OsStr::from_bytes(name)), b"x").unwrap();
        }
        let files = Files::open(&Url::from_directory_path(folder.path()).unwrap()).unwrap();
        let contents = Dataset::open(&files).await.unwrap().rest().await.unwrap();
        assert_eq!(names(&contents), ["a.jpg"]);
        let rejected: Vec<&str> = contents.rejected.iter().map(|rejected| rejected.item.as_str()).collect();
        assert_eq!(rejected, ["Ni\\xf1o.jpg"]);
    }

    fn names(contents: &Contents) -> Vec<&str> {
        contents.items.iter().map(|item| item.item.as_str()).collect()
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
        assert!(matches!(read_dataset(&[("notes.txt", b"x")]).await, Err(DatasetError::Empty { .. })));
        assert!(matches!(read_dataset(&[("metadata.jsonl", b"\n")]).await, Err(DatasetError::Empty { .. })));
    }
}
