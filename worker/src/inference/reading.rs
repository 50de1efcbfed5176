//! The first stage of the pipeline: which items to embed, their bytes and digests.
//!
//! Bounds the image bytes in memory. Items are read in small groups, each of which reserves its memory in one step: a
//! group never waits for memory while it has some, so groups cannot deadlock.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use common::{
    byte_budget::PriorityBudget,
    digest::Digest,
    ids::SubmissionId,
    job::{
        args::Chunk,
        outcome::{FailureReason, ItemFailure},
    },
    priority::Priority,
    stage::Stage,
    store::Store,
};
use dataset::{
    files::{Files, ReadError, parts},
    manifest::ManifestItem,
};
use futures::future::join_all;
use tokio::sync::OwnedSemaphorePermit;

use crate::outcome::JobError;

/// Items that are read and looked up together, at most, and the bytes that they may have together.
pub(super) const GROUP_ITEMS: usize = 16;
const GROUP_BYTES: u64 = 4 << 20;
/// Bytes of image files in memory at once.
const IMAGE_MEMORY_BYTES: u64 = 512 << 20;

/// An item with its submission-wide index.
pub(super) type IndexedItem = (u64, ManifestItem);

/// An item in progress.
pub(super) struct InProgress<T> {
    pub(super) index: u64,
    pub(super) item: ManifestItem,
    pub(super) state: Result<T, ItemError>,
}

/// An image that was read.
pub(super) struct Image {
    pub(super) sha256: Digest,
    pub(super) bytes: Bytes,
    /// Shared with the others of its group.
    pub(super) _memory: Arc<OwnedSemaphorePermit>,
}

/// Why an item is not embedded.
pub(super) enum ItemError {
    /// It never will be.
    Item(ItemFailure),
    /// It may be later.
    Later(String),
    /// The job as a whole failed.
    Job(JobError),
}

impl<E: Into<JobError>> From<E> for ItemError {
    fn from(error: E) -> Self {
        Self::Job(error.into())
    }
}

/// Reads images of datasets and uploads.
pub(super) struct Reader {
    store: Store,
    files: FileReader,
}

/// Reads images of datasets, with a bound on the bytes in memory.
pub(super) struct FileReader {
    memory: PriorityBudget,
    max_image_bytes: u64,
    stage: Stage,
}

impl Reader {
    pub(super) fn new(store: Store, max_image_bytes: u64) -> Self {
        Self { store, files: FileReader::new(max_image_bytes) }
    }

    /// Returns the items of a chunk that have no result yet. They all have none unless the job is `repeated`.
    pub(super) async fn unresolved_items(
        &self,
        submission: SubmissionId,
        chunk: &Chunk,
        repeated: bool,
    ) -> Result<Vec<IndexedItem>, JobError> {
        let unreadable = |error: &dyn fmt::Display| {
            JobError::Retryable(format!("cannot read the manifest part {}: {error}", chunk.part))
        };
        let items: Vec<ManifestItem> = parts::read_chunk(chunk).await.map_err(|error| unreadable(&error))?;
        if items.len() != chunk.items as usize {
            return Err(JobError::Permanent(format!(
                "the manifest part {} has {} items, but the job has {}",
                chunk.part,
                items.len(),
                chunk.items
            )));
        }
        let items = (chunk.first_item..).zip(items);
        if !repeated {
            return Ok(items.collect());
        }
        let results = self.store.results(submission, chunk.first_item, u64::from(chunk.items)).await?;
        Ok(items.zip(results).filter(|(_, result)| result.is_none()).map(|(item, _)| item).collect())
    }

    /// Reads and hashes the images of a group: files of a dataset, or uploads.
    pub(super) async fn read(
        &self,
        files: Option<&Files>,
        group: Vec<IndexedItem>,
        priority: Priority,
    ) -> Vec<InProgress<Image>> {
        if let Some(files) = files {
            return self.files.read(files, group, priority).await;
        }
        let _in_stage = self.files.stage.enter(group.len());
        let memory = self.files.reserve(&group, priority).await;
        let _working = self.files.stage.work();
        let read = join_all(group.iter().map(|(_, item)| self.read_upload(item))).await;
        check_images(group, read, &memory)
    }

    /// How many images wait to be read, or are read, and for how much of the time any is.
    pub(super) fn stage(&self) -> &Stage {
        &self.files.stage
    }

    async fn read_upload(&self, item: &ManifestItem) -> Result<Bytes, ItemError> {
        let missing = |detail: &str| ItemError::Item(ItemFailure::new(FailureReason::Missing, detail));
        let sha256 = item.sha256.ok_or_else(|| missing("the upload has no digest"))?;
        let bytes = self.store.image(&sha256).await?;
        bytes.map(Bytes::from).ok_or_else(|| missing("the uploaded image has expired"))
    }
}

impl FileReader {
    pub(super) fn new(max_image_bytes: u64) -> Self {
        Self { memory: PriorityBudget::new(IMAGE_MEMORY_BYTES), max_image_bytes, stage: Stage::new(1) }
    }

    /// Reserves the memory for a group.
    async fn reserve(&self, group: &[IndexedItem], priority: Priority) -> Arc<OwnedSemaphorePermit> {
        let bytes = group.iter().map(|(_, item)| item.bytes).sum();
        Arc::new(self.memory.acquire(bytes, priority).await)
    }

    /// Reads and hashes the images of a group.
    pub(super) async fn read(
        &self,
        files: &Files,
        group: Vec<IndexedItem>,
        priority: Priority,
    ) -> Vec<InProgress<Image>> {
        let _in_stage = self.stage.enter(group.len());
        let memory = self.reserve(&group, priority).await;
        let _working = self.stage.work();
        let names = group.iter().map(|(_, item)| item.item.clone()).collect();
        let read = files.read_many(names, self.max_image_bytes).await;
        let misses = read.iter().any(|read| matches!(read, Err(ReadError::Missing { .. })));
        let is_missing = misses && !files.exists().await;
        let unread = |error: &ReadError| if is_missing { dataset_missing(error) } else { unread(error) };
        let read = read.into_iter().map(|read| read.map_err(|error| unread(&error))).collect();
        check_images(group, read, &memory)
    }
}

/// Splits items into groups of at most [`GROUP_ITEMS`] items and [`GROUP_BYTES`] bytes, or one larger item.
pub(super) fn groups(items: Vec<IndexedItem>) -> Vec<Vec<IndexedItem>> {
    let mut groups: Vec<Vec<IndexedItem>> = Vec::new();
    let mut bytes = u64::MAX;
    for (index, item) in items {
        bytes = bytes.saturating_add(item.bytes);
        match groups.last_mut() {
            Some(group) if group.len() < GROUP_ITEMS && bytes <= GROUP_BYTES => group.push((index, item)),
            _ => {
                bytes = item.bytes;
                groups.push(vec![(index, item)]);
            }
        }
    }
    groups
}

fn check_images(
    group: Vec<IndexedItem>,
    read: Vec<Result<Bytes, ItemError>>,
    memory: &Arc<OwnedSemaphorePermit>,
) -> Vec<InProgress<Image>> {
    let image = |((index, item), read): (IndexedItem, Result<Bytes, ItemError>)| {
        let state = read.and_then(|bytes| check_image(&item, bytes, memory));
        InProgress { index, item, state }
    };
    group.into_iter().zip(read).map(image).collect()
}

/// Hashes an image and compares it with the manifest.
fn check_image(
    item: &ManifestItem,
    bytes: Bytes,
    memory: &Arc<OwnedSemaphorePermit>,
) -> Result<Image, ItemError> {
    let failure = |reason, detail: String| Err(ItemError::Item(ItemFailure::new(reason, detail)));
    let size = bytes.len() as u64;
    if size == 0 {
        return failure(FailureReason::Empty, "the file has 0 bytes".to_owned());
    }
    if size != item.bytes {
        let detail = format!("the file has {size} bytes, but the manifest has {}", item.bytes);
        return failure(FailureReason::Changed, detail);
    }
    let sha256 = Digest::of(&bytes);
    if let Some(want) = item.sha256.filter(|want| *want != sha256) {
        let detail = format!("the SHA-256 is {sha256}, but the manifest has {want}");
        return failure(FailureReason::Changed, detail);
    }
    Ok(Image { sha256, bytes, _memory: memory.clone() })
}

fn unread(error: &ReadError) -> ItemError {
    let reason = match error {
        ReadError::Missing { .. } => FailureReason::Missing,
        ReadError::TooLarge { .. } => FailureReason::TooLarge,
        error if error.is_retryable() => return ItemError::Later(error.to_string()),
        _ => FailureReason::Undecodable,
    };
    ItemError::Item(ItemFailure::new(reason, error.to_string()))
}

/// The whole dataset is missing: retry, since its volume may be mounted later or on another worker.
fn dataset_missing(error: &ReadError) -> ItemError {
    ItemError::Later(format!("{error}; the whole dataset is missing: is its volume mounted on this worker?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_small_in_number_and_in_bytes() {
        let check = |bytes: &[u64], want: &[usize]| {
            let items = bytes.iter().map(|bytes| ManifestItem { bytes: *bytes, ..ManifestItem::named("x") });
            let groups = groups((7..).zip(items).collect());
            let indices: Vec<u64> = groups.iter().flatten().map(|(index, _)| *index).collect();
            assert_eq!(indices, (7..7 + bytes.len() as u64).collect::<Vec<_>>(), "{bytes:?}");
            assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), want, "{bytes:?}");
        };
        check(&[], &[]);
        check(&[10; 33], &[16, 16, 1]);
        check(&[GROUP_BYTES, 0, 1, 2], &[2, 2]);
        check(&[u64::MAX, u64::MAX, 1], &[1, 1, 1]);
    }
}
