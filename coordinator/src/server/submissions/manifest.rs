//! A submission's manifest: where its items are written down, and writing them while they come.
//!
//! Owns the arithmetic between items, manifest parts and jobs: part `k` holds the items of job `k`; parts
//! after the last job hold the items that were rejected while preparing. Those lie in a folder of their own,
//! counted from 0 there: they are written before the number of jobs is known. What is held while a manifest is
//! written is one part of either kind, besides a bounded number on their way to disk.

use common::store::Submission;
use dataset::{
    files::parts::{self, PartError},
    manifest::RejectedItem,
};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use url::Url;

/// Parts being written at once.
const WRITES: usize = 16;

/// The layout of one submission's manifest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Layout {
    /// The folder the items' names are relative to; nothing for uploaded images.
    pub(crate) dataset: Option<Url>,
    /// The parts of items with jobs; those of rejected items are below it.
    pub(crate) folder: Url,
    /// Items that have jobs.
    pub(crate) items: u64,
    /// Items rejected while preparing.
    pub(crate) rejected: u64,
    /// Items in a part.
    pub(crate) part_items: u32,
    /// Whether the items have rows of metadata.
    pub(crate) labelled: bool,
}

impl Layout {
    /// Jobs, which is parts that hold items with jobs.
    pub(crate) fn jobs(&self) -> u32 {
        self.items.div_ceil(u64::from(self.part_items)) as u32
    }

    /// All parts.
    pub(crate) fn parts(&self) -> u32 {
        self.jobs() + self.rejected.div_ceil(u64::from(self.part_items)) as u32
    }

    /// Submission-wide index of the first item of a part.
    pub(crate) fn first_item(&self, part: u32) -> u64 {
        let jobs = self.jobs();
        if part < jobs {
            u64::from(part) * u64::from(self.part_items)
        } else {
            self.items + u64::from(part - jobs) * u64::from(self.part_items)
        }
    }

    /// Items in a job's part.
    pub(crate) fn job_items(&self, job: u32) -> u32 {
        (self.items - self.first_item(job)).min(u64::from(self.part_items)) as u32
    }

    /// Where a part lies.
    pub(crate) fn part(&self, part: u32) -> Url {
        match part.checked_sub(self.jobs()) {
            None => parts::part_url(&self.folder, part),
            Some(rejected) => parts::part_url(&rejected_folder(&self.folder), rejected),
        }
    }
}

/// Where the parts of rejected items lie, below a manifest's folder.
pub(super) fn rejected_folder(manifest: &Url) -> Url {
    manifest.join("rejected/").expect("a folder's URL takes a folder's name")
}

/// Returns the layout of an open submission.
pub(crate) fn layout(submission: &Submission) -> Option<Layout> {
    serde_json::from_value(submission.manifest.clone()?).ok()
}

/// A manifest that is being written.
pub(super) struct ManifestWriter<T> {
    items: Series<T>,
    rejected: Series<RejectedItem>,
    writes: JoinSet<Result<(), PartError>>,
}

/// Parts that are filled one after another.
struct Series<T> {
    folder: Url,
    part_items: usize,
    /// Items of the part that is not full yet.
    pending: Vec<T>,
    parts: u32,
    items: u64,
}

impl<T: Serialize + Send + Sync + 'static> ManifestWriter<T> {
    /// Begins a manifest with parts of `part_items` items, the rejected ones in a folder of their own.
    pub(super) fn new(items: Url, rejected: Url, part_items: u32) -> Self {
        let part_items = part_items as usize;
        Self {
            items: Series::new(items, part_items),
            rejected: Series::new(rejected, part_items),
            writes: JoinSet::new(),
        }
    }

    /// Adds an item that gets a job.
    ///
    /// # Errors
    /// When a part cannot be written.
    pub(super) async fn add(&mut self, item: T) -> Result<(), PartError> {
        self.items.add(item, &mut self.writes).await
    }

    /// Adds an item that has failed already.
    ///
    /// # Errors
    /// When a part cannot be written.
    pub(super) async fn reject(&mut self, item: RejectedItem) -> Result<(), PartError> {
        self.rejected.add(item, &mut self.writes).await
    }

    /// Writes what is left and returns how many items there are, and how many rejected ones.
    ///
    /// # Errors
    /// When a part cannot be written.
    pub(super) async fn finish(mut self) -> Result<(u64, u64), PartError> {
        self.items.write(&mut self.writes).await?;
        self.rejected.write(&mut self.writes).await?;
        while let Some(written) = self.writes.join_next().await {
            written.expect("writing a part does not panic")?;
        }
        Ok((self.items.items, self.rejected.items))
    }
}

impl<T: Serialize + Send + Sync + 'static> Series<T> {
    fn new(folder: Url, part_items: usize) -> Self {
        Self { folder, part_items, pending: Vec::new(), parts: 0, items: 0 }
    }

    async fn add(&mut self, item: T, writes: &mut JoinSet<Result<(), PartError>>) -> Result<(), PartError> {
        self.pending.push(item);
        self.items += 1;
        if self.pending.len() < self.part_items { Ok(()) } else { self.write(writes).await }
    }

    /// Begins to write the part that is pending, once few enough are on their way.
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
    async fn items_and_rejected_ones_fill_parts_of_their_own() {
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
        assert_eq!(read(&rejected, 2).await, ["80", "90", "100"], "a rejected item reads as an item");
        let failed: Vec<RejectedItem> = parts::read_part(&parts::part_url(&rejected, 0)).await.unwrap();
        assert_eq!((failed.len(), &failed[3].failure), (4, &failure));
    }

    fn check(items: u64, rejected: u64, jobs: u32, parts: u32, first_items: &[u64]) {
        let folder = Url::parse("file:///manifests/").unwrap();
        let layout = Layout { dataset: None, folder, items, rejected, part_items: 64, labelled: true };
        assert_eq!((layout.jobs(), layout.parts()), (jobs, parts));
        let first: Vec<u64> = (0..parts).map(|part| layout.first_item(part)).collect();
        assert_eq!(first, first_items);
        assert_eq!((0..jobs).map(|job| u64::from(layout.job_items(job))).sum::<u64>(), items);
    }

    #[test]
    fn parts_follow_one_another_and_rejected_items_come_last() {
        check(0, 0, 0, 0, &[]);
        check(64, 0, 1, 1, &[0]);
        check(130, 0, 3, 3, &[0, 64, 128]);
        check(70, 65, 2, 4, &[0, 64, 70, 134]);
        check(0, 3, 0, 1, &[0]);
    }

    #[test]
    fn rejected_items_lie_in_a_folder_of_their_own() {
        let folder = Url::parse("s3://bucket/manifests/id/").unwrap();
        let layout =
            Layout { dataset: None, folder, items: 70, rejected: 65, part_items: 64, labelled: true };
        let parts: Vec<String> = (0..4).map(|part| layout.part(part).to_string()).collect();
        let expected = ["00000", "00001", "rejected/00000", "rejected/00001"];
        assert_eq!(parts, expected.map(|part| format!("s3://bucket/manifests/id/{part}.jsonl")));
    }
}
