//! A submission's manifest: the files that list its items, and the streaming writer.
//!
//! Owns the arithmetic between items, manifest parts and jobs. Part `k` has the items of job `k`. The parts after the
//! last job have the items that were rejected during preparation; their files are numbered from 0 in the subfolder
//! `rejected`, since they are written before the number of jobs is known. While a manifest is written, memory is
//! bounded by one incomplete part of each kind and [`WRITES`] parts in flight.

use common::{embedding::Space, job::output::Output, store::Submission};
use dataset::{
    files::parts::{self, PartError},
    imagefolder::SkippedFiles,
    manifest::RejectedItem,
};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use url::Url;

/// Maximum number of concurrent writes.
const WRITES: usize = 16;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Layout {
    /// The folder that item names are relative to; `None` for uploaded images.
    pub(crate) dataset: Option<Url>,
    /// The folder of the parts.
    pub(crate) folder: Url,
    /// Number of items with a job.
    pub(crate) items: u64,
    /// Number of items rejected during preparation.
    pub(crate) rejected: u64,
    /// Items per part.
    pub(crate) part_items: u32,
    /// Whether the dataset has metadata.
    pub(crate) labelled: bool,
    /// Number of images that no row of the dataset names.
    #[serde(default)]
    pub(crate) without_row: u64,
    /// Files of the dataset that are neither images nor metadata.
    #[serde(default, skip_serializing_if = "SkippedFiles::is_empty")]
    pub(crate) skipped_files: SkippedFiles,
    /// The space in which its jobs run; `None` for a crawl, or if an earlier version made the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) space: Option<Space>,
    /// Where the jobs of a predict submission write shards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<Output>,
}

impl Layout {
    /// Returns the number of jobs.
    pub(crate) fn jobs(&self) -> u32 {
        self.items.div_ceil(u64::from(self.part_items)) as u32
    }

    /// Returns the number of parts, including those of rejected items.
    pub(crate) fn parts(&self) -> u32 {
        self.jobs() + self.rejected.div_ceil(u64::from(self.part_items)) as u32
    }

    /// Returns the submission-wide index of a part's first item.
    pub(crate) fn first_item(&self, part: u32) -> u64 {
        let jobs = self.jobs();
        if part < jobs {
            u64::from(part) * u64::from(self.part_items)
        } else {
            self.items + u64::from(part - jobs) * u64::from(self.part_items)
        }
    }

    /// Returns the part of an item, and the item's position in it.
    pub(crate) fn part_of(&self, item: u64) -> (u32, usize) {
        let part_items = u64::from(self.part_items);
        match item.checked_sub(self.items) {
            None => ((item / part_items) as u32, (item % part_items) as usize),
            Some(rejected) => {
                (self.jobs() + (rejected / part_items) as u32, (rejected % part_items) as usize)
            }
        }
    }

    /// Returns the number of a job's items.
    pub(crate) fn job_items(&self, job: u32) -> u32 {
        (self.items - self.first_item(job)).min(u64::from(self.part_items)) as u32
    }

    /// Returns the number of a part's items, with a job or rejected.
    pub(crate) fn part_rows(&self, part: u32) -> u64 {
        let end = if part < self.jobs() { self.items } else { self.items + self.rejected };
        (end - self.first_item(part)).min(u64::from(self.part_items))
    }

    /// Returns the URL of a part.
    pub(crate) fn part(&self, part: u32) -> Url {
        match part.checked_sub(self.jobs()) {
            None => parts::part_url(&self.folder, part),
            Some(rejected) => parts::part_url(&rejected_folder(&self.folder), rejected),
        }
    }
}

/// Returns the folder of a manifest's rejected items.
pub(super) fn rejected_folder(manifest: &Url) -> Url {
    manifest.join("rejected/").expect("a folder URL can be a base")
}

/// Returns the layout of a prepared submission.
pub(crate) fn layout(submission: &Submission) -> Option<Layout> {
    serde_json::from_value(submission.manifest.clone()?).ok()
}

pub(super) struct ManifestWriter<T> {
    items: PartWriter<T>,
    rejected: PartWriter<RejectedItem>,
    writes: JoinSet<Result<(), PartError>>,
}

/// Writes items to the consecutive parts of one folder.
struct PartWriter<T> {
    folder: Url,
    part_items: usize,
    /// Items of the incomplete part.
    pending: Vec<T>,
    parts: u32,
    items: u64,
}

impl<T: Serialize + Send + Sync + 'static> ManifestWriter<T> {
    /// Makes a writer of parts with `part_items` items, to the folders `items` and `rejected`.
    pub(super) fn new(items: Url, rejected: Url, part_items: u32) -> Self {
        let part_items = part_items as usize;
        Self {
            items: PartWriter::new(items, part_items),
            rejected: PartWriter::new(rejected, part_items),
            writes: JoinSet::new(),
        }
    }

    /// Adds an item with a job.
    pub(super) async fn add(&mut self, item: T) -> Result<(), PartError> {
        self.items.add(item, &mut self.writes).await
    }

    /// Adds an item that was rejected.
    pub(super) async fn reject(&mut self, item: RejectedItem) -> Result<(), PartError> {
        self.rejected.add(item, &mut self.writes).await
    }

    /// Writes the incomplete parts. Returns the number of items with a job and of rejected items.
    pub(super) async fn finish(mut self) -> Result<(u64, u64), PartError> {
        self.items.write(&mut self.writes).await?;
        self.rejected.write(&mut self.writes).await?;
        while let Some(written) = self.writes.join_next().await {
            written.expect("writing a part does not panic")?;
        }
        Ok((self.items.items, self.rejected.items))
    }
}

impl<T: Serialize + Send + Sync + 'static> PartWriter<T> {
    fn new(folder: Url, part_items: usize) -> Self {
        Self { folder, part_items, pending: Vec::new(), parts: 0, items: 0 }
    }

    async fn add(&mut self, item: T, writes: &mut JoinSet<Result<(), PartError>>) -> Result<(), PartError> {
        self.pending.push(item);
        self.items += 1;
        if self.pending.len() < self.part_items { Ok(()) } else { self.write(writes).await }
    }

    /// Starts writing the pending part, after waiting until fewer than [`WRITES`] are in flight.
    async fn write(&mut self, writes: &mut JoinSet<Result<(), PartError>>) -> Result<(), PartError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        while writes.len() >= WRITES
            && let Some(written) = writes.join_next().await
        {
            written.expect("writing a part does not panic")?;
        }
        let (folder, part, items) = (self.folder.clone(), self.parts, std::mem::take(&mut self.pending));
        self.parts += 1;
        writes.spawn(async move { parts::write_part(&folder, part, &items).await });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use common::job::outcome::{FailureReason, ItemFailure};
    use dataset::manifest::ManifestItem;

    use super::*;

    #[tokio::test]
    async fn items_and_rejected_items_go_to_separate_parts() {
        let folder = tempfile::tempdir().unwrap();
        let items = Url::from_directory_path(folder.path()).unwrap();
        let rejected = items.join("rejected/").unwrap();
        let mut manifest = ManifestWriter::new(items.clone(), rejected.clone(), 4);
        let failure = ItemFailure::new(FailureReason::Missing, "gone");
        for number in 0..103 {
            let item = ManifestItem::named(&number.to_string());
            match number % 10 {
                0 => manifest.reject(RejectedItem { item, failure: failure.clone() }).await.unwrap(),
                _ => manifest.add(item).await.unwrap(),
            }
        }
        assert_eq!(manifest.finish().await.unwrap(), (92, 11));
        let read = async |folder: &Url, part| -> Vec<String> {
            let items: Vec<ManifestItem> = parts::read_part(&parts::part_url(folder, part)).await.unwrap();
            items.into_iter().map(|item| item.item).collect()
        };
        assert_eq!(read(&items, 22).await, ["98", "99", "101", "102"]);
        assert_eq!(read(&rejected, 2).await, ["80", "90", "100"], "a rejected item parses as an item");
        let failed: Vec<RejectedItem> = parts::read_part(&parts::part_url(&rejected, 0)).await.unwrap();
        assert_eq!((failed.len(), &failed[3].failure), (4, &failure));
    }

    fn check(items: u64, rejected: u64, jobs: u32, parts: u32, first_items: &[u64]) {
        let folder = Url::parse("file:///manifests/").unwrap();
        let layout = Layout {
            dataset: None,
            folder,
            items,
            rejected,
            part_items: 64,
            labelled: true,
            without_row: 0,
            skipped_files: SkippedFiles::default(),
            space: None,
            output: None,
        };
        assert_eq!((layout.jobs(), layout.parts()), (jobs, parts));
        let first: Vec<u64> = (0..parts).map(|part| layout.first_item(part)).collect();
        assert_eq!(first, first_items);
        assert_eq!((0..jobs).map(|job| u64::from(layout.job_items(job))).sum::<u64>(), items);
        assert_eq!((0..parts).map(|part| layout.part_rows(part)).sum::<u64>(), items + rejected);
    }

    #[test]
    fn parts_are_contiguous_and_rejected_items_come_last() {
        check(0, 0, 0, 0, &[]);
        check(64, 0, 1, 1, &[0]);
        check(130, 0, 3, 3, &[0, 64, 128]);
        check(70, 65, 2, 4, &[0, 64, 70, 134]);
        check(0, 3, 0, 1, &[0]);
    }

    #[test]
    fn rejected_items_have_their_own_folder() {
        let folder = Url::parse("s3://bucket/manifests/id/").unwrap();
        let layout = Layout {
            dataset: None,
            folder,
            items: 70,
            rejected: 65,
            part_items: 64,
            labelled: true,
            without_row: 0,
            skipped_files: SkippedFiles::default(),
            space: None,
            output: None,
        };
        let parts: Vec<String> = (0..4).map(|part| layout.part(part).to_string()).collect();
        let expected = ["00000", "00001", "rejected/00000", "rejected/00001"];
        assert_eq!(parts, expected.map(|part| format!("s3://bucket/manifests/id/{part}.jsonl")));
    }
}
