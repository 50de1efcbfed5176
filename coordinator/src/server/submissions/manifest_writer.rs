//! Writes a submission's manifest as a stream of items.
//!
//! Many jobs share a file, since writing a file costs more than the items of one job. While a manifest is written,
//! memory is bounded by one incomplete file of each kind and [`WRITES`] files in flight.

use dataset::{
    files::parts::{self, PartError},
    manifest::RejectedItem,
};
use serde::Serialize;
use tokio::task::JoinSet;
use url::Url;

use super::manifest::rejected_folder;

/// A file ends with the part that reaches one of these sizes.
const FILE_ITEMS: usize = 1 << 16;
const FILE_BYTES: usize = 4 << 20;
/// Maximum number of files that are written concurrently.
const WRITES: usize = 4;

/// How many parts a file has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Packing {
    Many,
    /// One, as workers of an earlier version read it.
    One,
}

pub(super) struct ManifestWriter {
    items: FileWriter,
    rejected: FileWriter,
    writes: JoinSet<Result<(), PartError>>,
}

/// The files that a [`ManifestWriter`] has written.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Written {
    pub(super) items: u64,
    pub(super) rejected: u64,
    /// Parts in each file; empty if each part is a file.
    pub(super) item_files: Vec<u32>,
    pub(super) rejected_files: Vec<u32>,
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

    /// Adds an item with a job.
    pub(super) async fn add<T: Serialize>(&mut self, item: &T) -> Result<(), PartError> {
        self.items.add(item, &mut self.writes).await
    }

    /// Adds an item that was rejected.
    pub(super) async fn reject(&mut self, item: &RejectedItem) -> Result<(), PartError> {
        self.rejected.add(item, &mut self.writes).await
    }

    /// Writes the incomplete files.
    pub(super) async fn finish(mut self) -> Result<Written, PartError> {
        self.items.finish(&mut self.writes).await?;
        self.rejected.finish(&mut self.writes).await?;
        while let Some(written) = self.writes.join_next().await {
            written.expect("writing a part does not panic")?;
        }
        let files = |writer: FileWriter| match writer.packing {
            Packing::Many => writer.files,
            Packing::One => Vec::new(),
        };
        Ok(Written {
            items: self.items.items,
            rejected: self.rejected.items,
            item_files: files(self.items),
            rejected_files: files(self.rejected),
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
        }
    }

    async fn add<T: Serialize>(
        &mut self,
        item: &T,
        writes: &mut JoinSet<Result<(), PartError>>,
    ) -> Result<(), PartError> {
        parts::push_line(&mut self.lines, item);
        self.items += 1;
        self.pending += 1;
        if self.pending < self.part_items {
            return Ok(());
        }
        self.end_part();
        let is_full = self.packing == Packing::One
            || self.lines.len() >= FILE_BYTES
            || (self.ends.len() + 1) * self.part_items > FILE_ITEMS;
        if is_full { self.write(writes).await } else { Ok(()) }
    }

    fn end_part(&mut self) {
        self.pending = 0;
        self.ends.push(u32::try_from(self.lines.len()).expect("a file has some megabytes"));
    }

    async fn finish(&mut self, writes: &mut JoinSet<Result<(), PartError>>) -> Result<(), PartError> {
        if self.pending > 0 {
            self.end_part();
        }
        if self.ends.is_empty() { Ok(()) } else { self.write(writes).await }
    }

    /// Starts writing the file, after waiting until fewer than [`WRITES`] are in flight.
    async fn write(&mut self, writes: &mut JoinSet<Result<(), PartError>>) -> Result<(), PartError> {
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

#[cfg(test)]
mod tests {
    use common::job::outcome::{FailureReason, ItemFailure};
    use dataset::{imagefolder::SkippedFiles, manifest::ManifestItem};

    use super::*;
    use crate::server::submissions::manifest::{Layout, Parts};

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
                _ => manifest.add(&item).await.unwrap(),
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
}
