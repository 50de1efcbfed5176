//! Writes a submission's manifest as a stream of items.
//!
//! Many jobs share a file, since writing a file costs more than the items of one job. While a manifest is written,
//! memory is bounded by one incomplete file of each kind and [`WRITES`] files in flight.
//!
//! If jobs are published while items are still listed, the first files are small. After a crash, the items are listed
//! again: those that are recorded must be the same and are skipped. Invariant: files end at the same items whenever the
//! same items are listed, so that a replaced leader writes the same bytes.

use common::digest::{Digest, Hasher};
use dataset::{
    files::parts::{self, PartError},
    manifest::RejectedItem,
};
use serde::Serialize;
use tokio::task::JoinSet;
use url::Url;

use super::manifest::{Layout, rejected_folder};

/// A file ends with the part that reaches one of these sizes.
const FILE_ITEMS: usize = 1 << 16;
const FILE_BYTES: usize = 4 << 20;
/// Items in the first file of a manifest whose jobs are published while it is written. The next has four times as many,
/// and so on. More than those of a submission that goes to the interactive queue.
const FIRST_FILE_ITEMS: usize = 1 << 10;
/// Maximum number of files that are written concurrently.
const WRITES: usize = 4;

/// How many parts a file has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Packing {
    Many,
    /// One, as workers of an earlier version read it.
    One,
}

/// The items that an earlier listing has recorded.
pub(super) struct Recorded {
    pub(super) items: u64,
    /// Parts in each file.
    pub(super) files: Vec<u32>,
    /// Digest of the lines of its files.
    pub(super) digest: Digest,
}

/// Why a manifest was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("cannot write the manifest: {0}")]
    Part(#[from] PartError),
    #[error(
        "the dataset changed while it was being listed: its first {items} items differ from those that were recorded before \
         the coordinator had to list it again; submit it again when nothing writes to the dataset"
    )]
    Changed { items: u64 },
}

pub(super) struct ManifestWriter {
    items: FileWriter,
    rejected: FileWriter,
    writes: JoinSet<Result<(), PartError>>,
}

/// The files that a [`ManifestWriter`] has completed.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Written {
    pub(super) items: u64,
    pub(super) rejected: u64,
    /// Parts in each file; empty if each part is a file.
    pub(super) item_files: Vec<u32>,
    pub(super) rejected_files: Vec<u32>,
    /// Digest of the lines of all items, of a manifest whose jobs are published while it is written.
    pub(super) digest: Option<Digest>,
}

impl Written {
    /// Returns `unlisted` with what was written.
    pub(super) fn layout(self, unlisted: Layout) -> Layout {
        let Self { items, rejected, item_files, rejected_files, digest: _ } = self;
        Layout { items, rejected, item_files, rejected_files, ..unlisted }
    }
}

/// Writes items to the consecutive files of one folder.
struct FileWriter {
    folder: Url,
    part_items: usize,
    packing: Packing,
    /// Lines of the incomplete file, and where its parts end.
    lines: Vec<u8>,
    ends: Vec<u32>,
    /// Items of the incomplete part.
    pending: usize,
    /// Parts of each complete file.
    files: Vec<u32>,
    items: u64,
    /// If its files grow from a small first one.
    growing: Option<Growing>,
}

struct Growing {
    lines: Hasher,
    /// What remains to be skipped; `None` once it is.
    recorded: Option<(u64, Digest)>,
}

impl ManifestWriter {
    /// Makes a writer of parts with `part_items` items to a manifest's folder.
    pub(super) fn new(folder: Url, part_items: u32, packing: Packing) -> Self {
        let rejected = rejected_folder(&folder);
        Self {
            items: FileWriter::new(folder, part_items, packing),
            rejected: FileWriter::new(rejected, part_items, packing),
            writes: JoinSet::new(),
        }
    }

    /// Makes a writer whose files grow from a small first one, after those that are `recorded` already.
    pub(super) fn growing(folder: Url, part_items: u32, recorded: Option<Recorded>) -> Self {
        let mut writer = Self::new(folder, part_items, Packing::Many);
        let (files, recorded) = recorded
            .map_or((Vec::new(), None), |recorded| (recorded.files, Some((recorded.items, recorded.digest))));
        writer.items.files = files;
        writer.items.growing = Some(Growing { lines: Hasher::default(), recorded });
        writer
    }

    /// Adds an item with a job. Returns whether a file is complete with it.
    pub(super) async fn add<T: Serialize>(&mut self, item: &T) -> Result<bool, WriteError> {
        self.items.add(item, &mut self.writes).await
    }

    /// Adds an item that was rejected.
    pub(super) async fn reject(&mut self, item: &RejectedItem) -> Result<(), WriteError> {
        self.rejected.add(item, &mut self.writes).await.map(drop)
    }

    /// Waits until the complete files are written, right after [`ManifestWriter::add`] has completed one. Rejected items
    /// are left out.
    pub(super) async fn so_far(&mut self) -> Result<Written, WriteError> {
        let all = self.written().await?;
        Ok(Written { rejected: 0, rejected_files: Vec::new(), ..all })
    }

    /// Writes the incomplete files.
    pub(super) async fn finish(&mut self) -> Result<Written, WriteError> {
        self.items.finish(&mut self.writes).await?;
        self.rejected.finish(&mut self.writes).await?;
        self.written().await
    }

    async fn written(&mut self) -> Result<Written, WriteError> {
        while let Some(written) = self.writes.join_next().await {
            written.expect("writing a part does not panic")?;
        }
        let files = |writer: &FileWriter| match writer.packing {
            Packing::Many => writer.files.clone(),
            Packing::One => Vec::new(),
        };
        Ok(Written {
            items: self.items.items,
            rejected: self.rejected.items,
            item_files: files(&self.items),
            rejected_files: files(&self.rejected),
            digest: self.items.growing.as_ref().map(|growing| growing.lines.clone().finish()),
        })
    }
}

impl FileWriter {
    fn new(folder: Url, part_items: u32, packing: Packing) -> Self {
        Self {
            folder,
            part_items: part_items as usize,
            packing,
            lines: Vec::new(),
            ends: Vec::new(),
            pending: 0,
            files: Vec::new(),
            items: 0,
            growing: None,
        }
    }

    async fn add<T: Serialize>(
        &mut self,
        item: &T,
        writes: &mut JoinSet<Result<(), PartError>>,
    ) -> Result<bool, WriteError> {
        let start = self.lines.len();
        parts::push_line(&mut self.lines, item);
        self.items += 1;
        if let Some(growing) = &mut self.growing {
            growing.lines.update(&self.lines[start..]);
            if growing.skip(self.items)? {
                self.lines.clear();
                return Ok(false);
            }
        }
        self.pending += 1;
        if self.pending < self.part_items {
            return Ok(false);
        }
        self.end_part();
        let is_full = self.packing == Packing::One
            || self.lines.len() >= FILE_BYTES
            || (self.ends.len() + 1) * self.part_items > self.file_items();
        if is_full {
            self.write(writes).await?;
        }
        Ok(is_full)
    }

    /// Returns how many items the next file has at most.
    fn file_items(&self) -> usize {
        match self.growing {
            Some(_) => (FIRST_FILE_ITEMS << (2 * self.files.len().min(8))).min(FILE_ITEMS),
            None => FILE_ITEMS,
        }
    }

    fn end_part(&mut self) {
        self.pending = 0;
        self.ends.push(u32::try_from(self.lines.len()).expect("a file has some megabytes"));
    }

    async fn finish(&mut self, writes: &mut JoinSet<Result<(), PartError>>) -> Result<(), WriteError> {
        if let Some(Growing { recorded: Some((items, _)), .. }) = self.growing {
            return Err(WriteError::Changed { items });
        }
        if self.pending > 0 {
            self.end_part();
        }
        if self.ends.is_empty() { Ok(()) } else { self.write(writes).await }
    }

    /// Starts writing the file, after waiting until fewer than [`WRITES`] are in flight.
    async fn write(&mut self, writes: &mut JoinSet<Result<(), PartError>>) -> Result<(), WriteError> {
        while writes.len() >= WRITES
            && let Some(written) = writes.join_next().await
        {
            written.expect("writing a part does not panic")?;
        }
        let (folder, file, packing) = (self.folder.clone(), self.files.len() as u32, self.packing);
        let (lines, ends) = (std::mem::take(&mut self.lines), std::mem::take(&mut self.ends));
        self.files.push(ends.len() as u32);
        writes.spawn(async move {
            parts::write_lines(&folder, file, lines).await?;
            match packing {
                Packing::Many => parts::write_index(&folder, file, &ends).await,
                Packing::One => Ok(()),
            }
        });
        Ok(())
    }
}

impl Growing {
    /// Returns whether the item that was added last is recorded already; it is item number `items`, from 1.
    fn skip(&mut self, items: u64) -> Result<bool, WriteError> {
        let Some((recorded, digest)) = self.recorded else { return Ok(false) };
        if items == recorded {
            if self.lines.clone().finish() != digest {
                return Err(WriteError::Changed { items });
            }
            self.recorded = None;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use common::job::outcome::{FailureReason, ItemFailure};
    use dataset::{imagefolder::SkippedFiles, manifest::ManifestItem};

    use super::*;
    use crate::server::submissions::manifest::Parts;

    /// Writes `items` items, every tenth of them rejected, and returns the names in each part.
    async fn write(items: u32, part_items: u32, packing: Packing) -> (Written, Vec<Vec<String>>) {
        let folder = tempfile::tempdir().unwrap();
        let folder = Url::from_directory_path(folder.path()).unwrap();
        let mut manifest = ManifestWriter::new(folder.clone(), part_items, packing);
        let failure = ItemFailure::new(FailureReason::Missing, "gone");
        for number in 0..items {
            let item = ManifestItem::named(&number.to_string());
            match number % 10 {
                0 => manifest.reject(&RejectedItem { item, failure: failure.clone() }).await.unwrap(),
                _ => drop(manifest.add(&item).await.unwrap()),
            }
        }
        let written = manifest.finish().await.unwrap();
        let parts = Parts::new(Layout {
            dataset: None,
            folder,
            items: written.items,
            rejected: written.rejected,
            part_items,
            item_files: written.item_files.clone(),
            rejected_files: written.rejected_files.clone(),
            labelled: true,
            without_row: 0,
            skipped_files: SkippedFiles::default(),
            space: None,
            output: None,
            listing: None,
        });
        let mut names = Vec::new();
        for part in 0..parts.layout().parts() {
            let items: Vec<ManifestItem> = parts.read(part).await.unwrap();
            names.push(items.into_iter().map(|item| item.item).collect());
        }
        if written.rejected > 0 {
            let failed: Vec<RejectedItem> = parts.read(parts.layout().jobs()).await.unwrap();
            assert_eq!(failed[0].failure, failure);
        }
        (written, names)
    }

    #[tokio::test]
    async fn items_and_rejected_items_go_to_separate_parts() {
        for packing in [Packing::Many, Packing::One] {
            let (written, parts) = write(103, 4, packing).await;
            assert_eq!((written.items, written.rejected), (92, 11));
            let files = if packing == Packing::Many { (vec![23], vec![3]) } else { (vec![], vec![]) };
            assert_eq!((written.item_files, written.rejected_files), files);
            assert_eq!(parts.len(), 26);
            assert_eq!(parts[22], ["98", "99", "101", "102"]);
            assert_eq!(parts[25], ["80", "90", "100"], "a rejected item parses as an item");
        }
        let (written, parts) = write(0, 4, Packing::Many).await;
        assert_eq!((written.items, written.item_files, parts.len()), (0, vec![], 0));
    }

    #[tokio::test]
    async fn long_manifests_have_several_files() {
        let (written, parts) = write(200_000, 1000, Packing::Many).await;
        assert_eq!((&written.item_files, &written.rejected_files), (&vec![65, 65, 50], &vec![20]));
        let items = (0..200_000).filter(|number| number % 10 > 0).map(|number| number.to_string());
        assert!(parts[..180].iter().flatten().cloned().eq(items));
    }

    /// Lists the items `numbers` after what is recorded, and returns what is written at the end of each file, and at
    /// the end.
    async fn list(
        folder: &Url,
        numbers: impl Iterator<Item = u32>,
        recorded: Option<&Written>,
    ) -> Result<Vec<Written>, WriteError> {
        let recorded = recorded.map(|written| Recorded {
            items: written.items,
            files: written.item_files.clone(),
            digest: written.digest.unwrap(),
        });
        let mut manifest = ManifestWriter::growing(folder.clone(), 100, recorded);
        let mut files = Vec::new();
        for number in numbers {
            if manifest.add(&ManifestItem::named(&number.to_string())).await? {
                files.push(manifest.so_far().await?);
            }
        }
        files.push(manifest.finish().await?);
        Ok(files)
    }

    #[tokio::test]
    async fn files_grow_and_an_interrupted_listing_continues_behind_them() {
        let folder = tempfile::tempdir().unwrap();
        let url = Url::from_directory_path(folder.path()).unwrap();
        let bytes = |file: u32| std::fs::read(parts::part_url(&url, file).to_file_path().unwrap()).unwrap();
        let once = list(&url, 0..100_000, None).await.unwrap();
        let items: Vec<u64> = once.iter().map(|written| written.items).collect();
        assert_eq!(items, [1000, 5000, 21_300, 86_800, 100_000]);
        assert_eq!(once[4].item_files, [10, 40, 163, 655, 132]);
        let files = [0, 1, 2, 3, 4].map(bytes);

        for recorded in &once {
            let again = list(&url, 0..100_000, Some(recorded)).await.unwrap();
            assert_eq!(again.last(), once.last());
            assert_eq!([0, 1, 2, 3, 4].map(bytes), files);
        }
        // Those that are recorded are not written again.
        std::fs::remove_file(parts::part_url(&url, 1).to_file_path().unwrap()).unwrap();
        let more = list(&url, 0..100_050, Some(&once[1])).await.unwrap();
        assert_eq!(more.last().unwrap().items, 100_050);
        assert!(!parts::part_url(&url, 1).to_file_path().unwrap().exists());
    }

    #[tokio::test]
    async fn items_that_changed_since_they_were_recorded_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let url = Url::from_directory_path(folder.path()).unwrap();
        let recorded = list(&url, 0..6000, None).await.unwrap().swap_remove(1);
        let changed = "the dataset changed while it was being listed: its first 5000 items differ from those";
        for numbers in [(1..6001).collect(), (0..4999).collect(), Vec::new()] {
            let numbers: Vec<u32> = numbers;
            let error = list(&url, numbers.into_iter(), Some(&recorded)).await.unwrap_err().to_string();
            assert!(error.starts_with(changed), "{error}");
        }
        let swapped = (0..6000).map(|number| if number < 2 { 1 - number } else { number });
        assert!(list(&url, swapped, Some(&recorded)).await.is_err());
        let later = (0..6000).filter(|number| *number != 5000);
        assert_eq!(list(&url, later, Some(&recorded)).await.unwrap().pop().unwrap().items, 5999);
    }
}
