//! From a chunk of a manifest to embeddings: read, hash, look up, decode, run the model.
//!
//! Owns the way of one item and its failures; shared by embed and predict. Does not own the model.
//! Invariants: one bad item fails alone; the bytes of images in memory are bounded by the worker's
//! budget; new embeddings are in the store before the caller reports them. Items are read and looked up in
//! small groups, which take their memory at once: nobody waits for memory while holding some.

use std::sync::Arc;

use bytes::Bytes;
use common::{
    digest::Digest,
    embedding::Embedding,
    ids::SubmissionId,
    job::{
        args::Chunk,
        outcome::{FailureReason, ItemFailure, ItemResult},
    },
    store::CatalogueEntry,
};
use dataset::{
    files::{Files, ReadError},
    manifest::ManifestItem,
    parts,
};
use futures::{StreamExt, future::join_all, stream};
use images::preprocess;
use tokio::sync::OwnedSemaphorePermit;
use url::Url;

use super::{JobError, Outcome};
use crate::worker::Worker;

/// Items of one job under way at once.
const WINDOW: usize = 64;
/// Items that are read and looked up together, at most, and the bytes that they may have together.
const GROUP_ITEMS: usize = 16;
const GROUP_BYTES: u64 = 4 << 20;

/// An item's embedding.
pub(super) struct Embedded {
    pub(super) sha256: Digest,
    pub(super) cached: bool,
    pub(super) embedding: Embedding,
}

/// An image that was read.
struct Image {
    sha256: Digest,
    bytes: Bytes,
    /// Shared with the others of its group.
    _memory: Arc<OwnedSemaphorePermit>,
}

/// An item on its way, with its submission-wide index.
struct Underway<T> {
    index: u64,
    item: ManifestItem,
    state: Result<T, ItemError>,
}

/// The items of a chunk, as far as an attempt came.
pub(super) struct Attempt {
    /// What became of each resolved item, by submission-wide index.
    resolved: Vec<(u64, Result<Embedded, ItemFailure>)>,
    /// Why the others are to be tried again; nothing when there are none.
    unresolved: Option<String>,
}

impl Attempt {
    /// Turns embeddings into results.
    pub(super) fn outcome(self, result: impl Fn(Embedded) -> ItemResult) -> Outcome {
        let results = self
            .resolved
            .into_iter()
            .map(|(index, item)| (index, item.map_or_else(ItemResult::Failed, &result)));
        Outcome::Items { results: results.collect(), unresolved: self.unresolved }
    }
}

/// Why an item is not embedded.
enum ItemError {
    /// It never will be.
    Item(ItemFailure),
    /// It may be later.
    Later(String),
    /// The whole job cannot go on.
    Job(JobError),
}

impl<E: Into<JobError>> From<E> for ItemError {
    fn from(error: E) -> Self {
        Self::Job(error.into())
    }
}

/// Embeds the unresolved items of a chunk. One that cannot be read now keeps no other from being resolved.
pub(super) async fn embed(
    worker: &Worker,
    submission: SubmissionId,
    chunk: &Chunk,
    repeated: bool,
) -> Result<Attempt, JobError> {
    let items = unresolved_items(worker, submission, chunk, repeated).await?;
    let files = chunk.dataset.as_ref().map(Files::open).transpose();
    let files = files.map_err(|error| JobError::Permanent(error.to_string()))?;
    let wanted = items.len();
    let mut announced = worker.model()?.announce(wanted);
    let mut embedded = stream::iter(groups(items))
        .map(|group| read_group(worker, files.as_ref(), group))
        .buffer_unordered(WINDOW / GROUP_ITEMS)
        .then(|images| look_up(worker, images))
        .flat_map(stream::iter)
        .map(|(image, known)| embed_image(worker, image, known))
        .buffer_unordered(WINDOW)
        .boxed();
    let mut resolved = Vec::with_capacity(wanted);
    let mut named = Vec::new();
    let mut later = None;
    while let Some(Underway { index, item, state }) = embedded.next().await {
        announced.settle_one();
        match state {
            Ok(embedded) => {
                let entry = |dataset| (embedded.sha256, catalogue_entry(dataset, item));
                named.extend(chunk.dataset.as_ref().map(entry));
                resolved.push((index, Ok(embedded)));
            }
            Err(ItemError::Item(failure)) => resolved.push((index, Err(failure))),
            Err(ItemError::Later(error)) => {
                later.get_or_insert_with(|| format!("{}: {error}", item.item));
            }
            Err(ItemError::Job(JobError::Retryable(error))) => {
                later = Some(error);
                break;
            }
            Err(ItemError::Job(error)) => return Err(error),
        }
    }
    drop(embedded);
    // What is computed is kept even when the job has to be tried again.
    let fresh: Vec<(Digest, Embedding)> = resolved
        .iter()
        .filter_map(|(_, result)| result.as_ref().ok())
        .filter(|embedded| !embedded.cached)
        .map(|embedded| (embedded.sha256, embedded.embedding.clone()))
        .collect();
    worker.store.put_embeddings(worker.model()?.space(), &fresh).await?;
    worker.store.put_catalogue(&named).await?;
    let left = wanted - resolved.len();
    let unresolved = later.map(|error| format!("{left} of {wanted} items are not resolved: {error}"));
    Ok(Attempt { resolved, unresolved })
}

/// What similarity search says of an image of a dataset.
fn catalogue_entry(dataset: &Url, item: ManifestItem) -> CatalogueEntry {
    CatalogueEntry {
        item: item.item,
        dataset: dataset.to_string(),
        video_id: item.video_id,
        channel: item.channel.or(item.channel_id),
    }
}

async fn unresolved_items(
    worker: &Worker,
    submission: SubmissionId,
    chunk: &Chunk,
    repeated: bool,
) -> Result<Vec<(u64, ManifestItem)>, JobError> {
    let unreadable = |error: &dyn std::fmt::Display| {
        JobError::Retryable(format!("the manifest part {} cannot be read: {error}", chunk.part))
    };
    let items: Vec<ManifestItem> = parts::read_part(&chunk.part).await.map_err(|error| unreadable(&error))?;
    if items.len() != chunk.items as usize {
        return Err(JobError::Permanent(format!(
            "the manifest part {} holds {} items where the job names {}",
            chunk.part,
            items.len(),
            chunk.items
        )));
    }
    let items = (chunk.first_item..).zip(items);
    if !repeated {
        return Ok(items.collect());
    }
    let results = worker.store.results(submission, chunk.first_item, u64::from(chunk.items)).await?;
    Ok(items.zip(results).filter(|(_, result)| result.is_none()).map(|(item, _)| item).collect())
}

/// Cuts items into groups that are small together.
fn groups(items: Vec<(u64, ManifestItem)>) -> Vec<Vec<(u64, ManifestItem)>> {
    let mut groups: Vec<Vec<(u64, ManifestItem)>> = Vec::new();
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

async fn read_group(
    worker: &Worker,
    files: Option<&Files>,
    group: Vec<(u64, ManifestItem)>,
) -> Vec<Underway<Image>> {
    let bytes = group.iter().map(|(_, item)| item.bytes).sum();
    let memory = Arc::new(worker.image_memory.acquire(bytes).await);
    let read = match files {
        Some(files) => {
            let names = group.iter().map(|(_, item)| item.item.clone()).collect();
            let read = files.read_together(names, worker.max_image_bytes).await;
            let misses = read.iter().any(|read| matches!(read, Err(ReadError::Missing { .. })));
            let astray = misses && !files.is_there().await;
            let unread = |error: &ReadError| if astray { elsewhere(error) } else { unread(error) };
            read.into_iter().map(|read| read.map_err(|error| unread(&error))).collect()
        }
        None => join_all(group.iter().map(|(_, item)| read_upload(worker, item))).await,
    };
    let image = |((index, item), read): ((u64, ManifestItem), Result<Bytes, ItemError>)| {
        let state = read.and_then(|bytes| check_image(&item, bytes, &memory));
        Underway { index, item, state }
    };
    group.into_iter().zip(read).map(image).collect()
}

/// Hashes an image and holds it to what the manifest says.
fn check_image(
    item: &ManifestItem,
    bytes: Bytes,
    memory: &Arc<OwnedSemaphorePermit>,
) -> Result<Image, ItemError> {
    let failure = |reason, detail: String| Err(ItemError::Item(ItemFailure::new(reason, detail)));
    let size = bytes.len() as u64;
    if size == 0 {
        return failure(FailureReason::Empty, "the file has no bytes".to_owned());
    }
    if size != item.bytes {
        let detail = format!("the file has {size} bytes, the manifest says {}", item.bytes);
        return failure(FailureReason::Changed, detail);
    }
    let sha256 = Digest::of(&bytes);
    if let Some(want) = item.sha256.filter(|want| *want != sha256) {
        let detail = format!("its SHA-256 is {sha256}, the manifest says {want}");
        return failure(FailureReason::Changed, detail);
    }
    Ok(Image { sha256, bytes, _memory: memory.clone() })
}

/// Finds the embeddings that the store has, in one round trip.
async fn look_up(
    worker: &Worker,
    mut images: Vec<Underway<Image>>,
) -> Vec<(Underway<Image>, Option<Embedding>)> {
    let digests: Vec<Digest> =
        images.iter().filter_map(|image| image.state.as_ref().ok()).map(|image| image.sha256).collect();
    let found = match worker.model() {
        Ok(model) => worker.store.embeddings(model.space(), &digests).await.map_err(JobError::from),
        Err(error) => Err(error),
    };
    match found {
        Ok(found) => {
            let mut found = found.into_iter();
            let with_embedding = |image: Underway<Image>| {
                let known = if image.state.is_ok() { found.next().flatten() } else { None };
                (image, known)
            };
            images.into_iter().map(with_embedding).collect()
        }
        Err(error) => {
            for image in images.iter_mut().filter(|image| image.state.is_ok()) {
                image.state = Err(ItemError::Job(error.clone()));
            }
            images.into_iter().map(|image| (image, None)).collect()
        }
    }
}

async fn embed_image(
    worker: &Worker,
    image: Underway<Image>,
    known: Option<Embedding>,
) -> Underway<Embedded> {
    let Underway { index, item, state } = image;
    let state = match (state, known) {
        (Err(error), _) => Err(error),
        (Ok(image), Some(embedding)) => Ok(Embedded { sha256: image.sha256, cached: true, embedding }),
        (Ok(image), None) => compute(worker, image).await,
    };
    Underway { index, item, state }
}

async fn compute(worker: &Worker, image: Image) -> Result<Embedded, ItemError> {
    let Image { sha256, bytes, _memory } = image;
    let pixels = worker.decoder.run(move || preprocess::pixels(&bytes)).await.map_err(ItemError::Item)?;
    let embedded = worker.model()?.embed(pixels).await;
    let embedding = embedded.map_err(|error| JobError::Retryable(error.to_string()))?;
    Ok(Embedded { sha256, cached: false, embedding })
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

/// The whole dataset is not there: another worker, or this one later, may see it.
fn elsewhere(error: &ReadError) -> ItemError {
    ItemError::Later(format!("{error}, nor its dataset: is the volume mounted on this worker?"))
}

async fn read_upload(worker: &Worker, item: &ManifestItem) -> Result<Bytes, ItemError> {
    let missing = |detail: &str| ItemError::Item(ItemFailure::new(FailureReason::Missing, detail));
    let sha256 = item.sha256.ok_or_else(|| missing("the upload has no digest"))?;
    let bytes = worker.store.image(&sha256).await?;
    bytes.map(Bytes::from).ok_or_else(|| missing("the uploaded image has expired"))
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
