//! From a chunk of a manifest to embeddings: read, hash, look up, decode, run the model.
//!
//! Owns the way of one item and its failures; shared by embed and predict. Does not own the model.
//! Invariants: one bad item fails alone; the bytes of images in memory are bounded by the worker's
//! budget; new embeddings are in the store before the caller reports them.

use bytes::Bytes;
use common::{
    embedding::Embedding,
    ids::{Digest, SubmissionId},
    jobs::Chunk,
    outcome::{FailureReason, ItemFailure, ItemResult},
    store::CatalogueEntry,
};
use data::{
    files::{Files, ReadError},
    manifest::ManifestItem,
    parts, preprocess,
};
use futures::{StreamExt, stream};
use url::Url;

use super::{JobError, Outcome};
use crate::worker::Worker;

/// Items of one job under way at once.
const WINDOW: usize = 64;

/// An item's embedding.
pub(super) struct Embedded {
    pub(super) sha256: Digest,
    pub(super) cached: bool,
    pub(super) embedding: Embedding,
}

/// The items of a chunk, as far as an attempt came.
pub(super) struct Attempt {
    /// What became of each resolved item, by submission-wide index.
    pub(super) resolved: Vec<(u64, Result<Embedded, ItemFailure>)>,
    /// Why the others are to be tried again; nothing when there are none.
    pub(super) unresolved: Option<String>,
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
    let mut embedded = stream::iter(items)
        .map(|(index, item)| {
            let files = files.as_ref();
            async move {
                let result = embed_item(worker, files, &item).await;
                (index, item, result)
            }
        })
        .buffer_unordered(WINDOW);
    let mut resolved = Vec::with_capacity(wanted);
    let mut named = Vec::new();
    let mut later = None;
    while let Some((index, item, result)) = embedded.next().await {
        announced.settle_one();
        match result {
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

async fn embed_item(
    worker: &Worker,
    files: Option<&Files>,
    item: &ManifestItem,
) -> Result<Embedded, ItemError> {
    let _memory = worker.image_memory.acquire(item.bytes).await;
    let bytes = read_item(worker, files, item).await?;
    let sha256 = Digest::of(&bytes);
    if let Some(want) = item.sha256.filter(|want| *want != sha256) {
        let detail = format!("its SHA-256 is {sha256}, the manifest says {want}");
        return Err(ItemError::Item(ItemFailure::new(FailureReason::Changed, detail)));
    }
    let model = worker.model()?;
    if let Some(embedding) = worker.store.embeddings(model.space(), &[sha256]).await?.pop().flatten() {
        return Ok(Embedded { sha256, cached: true, embedding });
    }
    let pixels = worker.decoder.run(move || preprocess::pixels(&bytes)).await.map_err(ItemError::Item)?;
    let embedding = model.embed(pixels).await.map_err(|error| JobError::Retryable(error.to_string()))?;
    Ok(Embedded { sha256, cached: false, embedding })
}

async fn read_item(worker: &Worker, files: Option<&Files>, item: &ManifestItem) -> Result<Bytes, ItemError> {
    let failure = |reason, detail: String| ItemError::Item(ItemFailure::new(reason, detail));
    let bytes = match (files, item.sha256) {
        (Some(files), _) => match files.read(&item.item, worker.max_image_bytes).await {
            Ok(bytes) => bytes,
            Err(error @ ReadError::Missing { .. }) => {
                return Err(failure(FailureReason::Missing, error.to_string()));
            }
            Err(error @ ReadError::TooLarge { .. }) => {
                return Err(failure(FailureReason::TooLarge, error.to_string()));
            }
            Err(error) if error.is_retryable() => return Err(ItemError::Later(error.to_string())),
            Err(error) => return Err(failure(FailureReason::Undecodable, error.to_string())),
        },
        (None, Some(sha256)) => match worker.store.image(&sha256).await? {
            Some(bytes) => Bytes::from(bytes),
            None => return Err(failure(FailureReason::Missing, "the uploaded image has expired".to_owned())),
        },
        (None, None) => return Err(failure(FailureReason::Missing, "the upload has no digest".to_owned())),
    };
    let size = bytes.len() as u64;
    if size == 0 {
        return Err(failure(FailureReason::Empty, "the file has no bytes".to_owned()));
    }
    if size != item.bytes {
        let detail = format!("the file has {size} bytes, the manifest says {}", item.bytes);
        return Err(failure(FailureReason::Changed, detail));
    }
    Ok(bytes)
}
