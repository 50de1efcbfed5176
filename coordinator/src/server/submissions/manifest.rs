//! A submission's manifest: which files list its items, and where.
//!
//! Owns the arithmetic between items, parts and jobs. Part `k` has the items of job `k`. The parts after the last job
//! have the items that were rejected during preparation; they are in files of their own, in the subfolder `rejected`,
//! since they are written before the number of jobs is known. A file has many parts, and an index beside it tells where
//! they are. In manifests of earlier versions, and of submissions that workers of such a version may receive, each part
//! is a file. `manifest_writer` writes them.

use std::{collections::VecDeque, sync::Arc};

use common::{
    digest::Digest,
    embedding::Space,
    job::{args::ByteRange, output::Output},
    store::Submission,
};
use dataset::{
    files::parts::{self, PartError},
    imagefolder::SkippedFiles,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::Mutex;
use url::Url;

/// Indexes that are kept.
const INDEXES: usize = 2;

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
    /// Number of parts in each file of items with a job, and of rejected items; empty if each part is a file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) item_files: Vec<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rejected_files: Vec<u32>,
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
    /// Digest of the items' lines, while more items are being listed: then it has those listed so far. `None` once all
    /// are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listing: Option<Digest>,
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

    /// Returns the folder of a part, its file there, and which part of that file it is; `None` if it is the whole file.
    fn place(&self, part: u32) -> (Url, u32, Option<usize>) {
        let (folder, files, mut part) = match part.checked_sub(self.jobs()) {
            None => (self.folder.clone(), &self.item_files, part),
            Some(rejected) => (rejected_folder(&self.folder), &self.rejected_files, rejected),
        };
        for (file, parts) in (0..).zip(files) {
            match part.checked_sub(*parts) {
                None => return (folder, file, Some(part as usize)),
                Some(rest) => part = rest,
            }
        }
        (folder, part, None)
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

/// The parts of a manifest. Keeps the indexes of the files that were read last.
pub(crate) struct Parts {
    layout: Layout,
    indexes: Mutex<VecDeque<(Url, Arc<[u32]>)>>,
}

impl Parts {
    pub(crate) fn new(layout: Layout) -> Self {
        Self { layout, indexes: Mutex::default() }
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the file of a part, and its range there; `None` if it is the whole file.
    pub(crate) async fn find(&self, part: u32) -> Result<(Url, Option<ByteRange>), PartError> {
        let (folder, file, position) = self.layout.place(part);
        let url = parts::part_url(&folder, file);
        let Some(chunk) = position else { return Ok((url, None)) };
        let index = {
            // Locked meanwhile: many jobs of a file are published at a time.
            let mut indexes = self.indexes.lock().await;
            let known = indexes.iter().find(|(known, _)| *known == url).map(|(_, index)| index.clone());
            match known {
                Some(index) => index,
                None => {
                    let index: Arc<[u32]> = parts::read_index(&folder, file).await?.into();
                    indexes.truncate(INDEXES - 1);
                    indexes.push_front((url.clone(), index.clone()));
                    index
                }
            }
        };
        match parts::range_of(&index, chunk) {
            Some(range) => Ok((url, Some(range))),
            None => Err(PartError::NoChunk { part: url, chunk }),
        }
    }

    /// Reads the items of a part.
    pub(crate) async fn read<T: DeserializeOwned>(&self, part: u32) -> Result<Vec<T>, PartError> {
        let (file, range) = self.find(part).await?;
        parts::read_range(&file, range).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(items: u64, rejected: u64, jobs: u32, parts: u32, first_items: &[u64]) {
        let folder = Url::parse("file:///manifests/").unwrap();
        let layout = Layout {
            dataset: None,
            folder,
            items,
            rejected,
            part_items: 64,
            item_files: Vec::new(),
            rejected_files: Vec::new(),
            labelled: true,
            without_row: 0,
            skipped_files: SkippedFiles::default(),
            space: None,
            output: None,
            listing: None,
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
            item_files: Vec::new(),
            rejected_files: Vec::new(),
            labelled: true,
            without_row: 0,
            skipped_files: SkippedFiles::default(),
            space: None,
            output: None,
            listing: None,
        };
        let check = |layout: &Layout, want: [(&str, u32, Option<usize>); 4]| {
            let want =
                want.map(|(folder, file, position)| (layout.folder.join(folder).unwrap(), file, position));
            assert_eq!([0, 1, 2, 3].map(|part| layout.place(part)), want);
        };
        check(&layout, [("", 0, None), ("", 1, None), ("rejected/", 0, None), ("rejected/", 1, None)]);
        let together = Layout { item_files: vec![2], rejected_files: vec![1, 1], ..layout };
        check(
            &together,
            [("", 0, Some(0)), ("", 0, Some(1)), ("rejected/", 0, Some(0)), ("rejected/", 1, Some(0))],
        );
    }

    #[test]
    fn layouts_of_earlier_versions_are_read() {
        let stored = r#"{"dataset":null,"folder":"file:///m/","items":70,"rejected":0,"part_items":64,"labelled":true}"#;
        let layout: Layout = serde_json::from_str(stored).unwrap();
        assert_eq!(layout.place(1), (layout.folder.clone(), 1, None));
        let again: serde_json::Value = serde_json::to_value(&layout).unwrap();
        assert!(again.get("item_files").is_none(), "an earlier version reads what it wrote: {again}");
    }
}
