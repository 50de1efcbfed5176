//! Where a submission's items are written down.
//!
//! Owns the arithmetic between items, manifest parts and jobs: part `k` holds the items of job `k`; parts
//! after the last job hold the items that were rejected while preparing. Those lie in a folder of their own,
//! counted from 0 there: they are written before the number of jobs is known.

use common::store::Submission;
use serde::{Deserialize, Serialize};
use url::Url;

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
            None => dataset::files::parts::part_url(&self.folder, part),
            Some(rejected) => dataset::files::parts::part_url(&rejected_folder(&self.folder), rejected),
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

#[cfg(test)]
mod tests {
    use super::*;

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
