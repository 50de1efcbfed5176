//! The similarity index: the embeddings of one space, in memory.
//!
//! Owns one matrix, of the space that was searched last, and keeps it in sync with the store, so that a search sees
//! every embedding that was added or removed before it. Each search compares the sizes of the space's buckets, in one
//! round trip, and reads only the buckets whose size changed. It scans the matrix as it is while it waits for the
//! sizes, and again only if something changed.

use std::{
    collections::HashSet,
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use common::{
    digest::Digest,
    embedding::{Embedding, Space},
    store::{BUCKETS, CatalogueEntry, Store, StoreError, bucket_of},
};
use tokio::{
    sync::Mutex,
    task::{JoinHandle, spawn_blocking},
};

use super::matrix::{Candidate, Matrix};

/// Embeddings per read from the store.
const PAGE: usize = 4096;
/// Candidates beyond the requested count: images that are in no dataset are dropped from the result.
const SPARE: usize = 64;
/// Time for which the number of named images counts as current, unless the matrix changes: reading it takes longer than
/// everything else that a search asks the store for.
const NAMED_AGE: Duration = Duration::from_secs(1);

/// One search at a time synchronises the index; searches themselves run concurrently.
#[derive(Default)]
pub(crate) struct SimilarityIndex {
    loaded: Mutex<Option<LoadedSpace>>,
    named: RwLock<Option<Named>>,
}

struct LoadedSpace {
    space: Space,
    bucket_sizes: Vec<u64>,
    matrix: Arc<RwLock<Matrix>>,
}

/// The number of images with a name.
#[derive(Clone, Copy)]
struct Named {
    count: u64,
    read_at: Instant,
    /// State of the matrix.
    changes: u64,
}

/// A matrix that was in sync with the store, and its state then.
struct Synchronised {
    matrix: Arc<RwLock<Matrix>>,
    images: usize,
    changes: u64,
}

impl Synchronised {
    /// Does not wait, since only the holder of `loaded`, which calls this, writes to the matrix.
    fn new(matrix: &Arc<RwLock<Matrix>>) -> Self {
        let read = matrix.read().expect("no holder of this lock panics");
        Self { matrix: matrix.clone(), images: read.len(), changes: read.changes() }
    }
}

/// What a search found.
pub(super) struct Found {
    pub(super) neighbours: Vec<Neighbour>,
    /// Number of images with a name, in any space, but at most that of images in this one. May be a second old.
    pub(super) named: u64,
}

pub(super) struct Neighbour {
    pub(super) digest: Digest,
    pub(super) cosine: f32,
    /// Of its names, the best first; at least one.
    pub(super) names: Vec<CatalogueEntry>,
}

impl SimilarityIndex {
    /// Finds the `count` dataset images nearest to `embedding`, except `excluded`.
    pub(super) async fn nearest(
        &self,
        store: &Store,
        space: &Space,
        embedding: &Embedding,
        excluded: &Digest,
        count: usize,
    ) -> Result<Found, StoreError> {
        let mut limit = count + SPARE;
        let early = self.loaded_matrix(space).map(|matrix| scan(matrix, embedding.clone(), limit));
        let Synchronised { matrix, images, changes } = self.synchronise(store, space).await?;
        let named = self.named(store, changes).await?;
        let mut scanned = match early {
            Some(early) => early.await.expect("a scan does not panic"),
            None => Scanned::default(),
        };
        if scanned.changes != changes || !Arc::ptr_eq(&scanned.matrix, &matrix) {
            scanned = scan(matrix.clone(), embedding.clone(), limit).await.expect("a scan does not panic");
        }
        loop {
            let mut candidates = scanned.candidates;
            let exhausted = candidates.len() < limit;
            candidates.retain(|candidate| candidate.digest != *excluded);
            let neighbours = look_up(store, candidates, count).await?;
            if neighbours.len() == count || exhausted {
                return Ok(Found { neighbours, named: named.min(images as u64) });
            }
            limit *= 4;
            scanned = scan(matrix.clone(), embedding.clone(), limit).await.expect("a scan does not panic");
        }
    }

    /// Unloads the space. Needed after a drop: a space that is filled again may have other images in buckets of the
    /// same sizes.
    pub(crate) async fn clear(&self) {
        drop(self.loaded.lock().await.take());
    }

    /// Returns the matrix if it is of this space, and no other search is bringing it in sync.
    fn loaded_matrix(&self, space: &Space) -> Option<Arc<RwLock<Matrix>>> {
        let loaded = self.loaded.try_lock().ok()?;
        loaded.as_ref().filter(|loaded| loaded.space == *space).map(|loaded| loaded.matrix.clone())
    }

    /// Returns the number of images with a name, in any space.
    async fn named(&self, store: &Store, changes: u64) -> Result<u64, StoreError> {
        let known = *self.named.read().expect("no holder of this lock panics");
        if let Some(named) = known
            && named.changes == changes
            && named.read_at.elapsed() < NAMED_AGE
        {
            return Ok(named.count);
        }
        let read_at = Instant::now();
        let count = store.catalogue_len().await?;
        *self.named.write().expect("no holder of this lock panics") = Some(Named { count, read_at, changes });
        Ok(count)
    }

    /// Loads the space and brings the matrix in sync with the store.
    async fn synchronise(&self, store: &Store, space: &Space) -> Result<Synchronised, StoreError> {
        let mut loaded = self.loaded.lock().await;
        if loaded.as_ref().is_none_or(|loaded| loaded.space != *space) {
            // Frees the old matrix before the new one is read.
            drop(loaded.take());
        }
        let LoadedSpace { bucket_sizes, matrix, .. } = loaded.get_or_insert_with(|| LoadedSpace {
            space: space.clone(),
            bucket_sizes: vec![0; BUCKETS],
            matrix: Arc::default(),
        });
        let sizes = store.bucket_sizes(space).await?;
        let changed: Vec<usize> =
            (0..BUCKETS).filter(|bucket| sizes[*bucket] != bucket_sizes[*bucket]).collect();
        if changed.is_empty() {
            return Ok(Synchronised::new(matrix));
        }
        let mut stored = HashSet::new();
        // A bucket may grow between the two reads, so the size that was actually read is remembered.
        let mut sizes_read = sizes.clone();
        for bucket in &changed {
            let digests = store.bucket_digests(space, *bucket).await?;
            sizes_read[*bucket] = digests.len() as u64;
            stored.extend(digests);
        }
        let changed: HashSet<usize> = changed.into_iter().collect();
        let (removed, added) = {
            let matrix = matrix.read().expect("no holder of this lock panics");
            let is_removed =
                |digest: &Digest| changed.contains(&bucket_of(digest)) && !stored.contains(digest);
            let removed = matrix.digests_where(is_removed);
            (removed, stored.iter().filter(|digest| !matrix.contains(digest)).copied().collect::<Vec<_>>())
        };
        for page in added.chunks(PAGE) {
            let embeddings = store.embeddings(space, page).await?;
            let (matrix, page) = (matrix.clone(), page.to_vec());
            let insert = move || {
                let mut matrix = matrix.write().expect("no holder of this lock panics");
                for (digest, embedding) in page.into_iter().zip(embeddings) {
                    if let Some(embedding) = embedding {
                        matrix.insert(digest, embedding);
                    }
                }
            };
            // Off the async threads, since it waits for scans that hold the lock.
            spawn_blocking(insert).await.expect("inserting does not panic");
        }
        tracing::debug!(%space, added = added.len(), removed = removed.len(), "similarity index synchronised");
        if !removed.is_empty() {
            let matrix = matrix.clone();
            let remove = move || {
                let mut matrix = matrix.write().expect("no holder of this lock panics");
                removed.iter().for_each(|digest| matrix.remove(digest));
            };
            spawn_blocking(remove).await.expect("removing does not panic");
        }
        *bucket_sizes = sizes_read;
        Ok(Synchronised::new(matrix))
    }
}

/// What a scan found, and in which state of the matrix.
#[derive(Default)]
struct Scanned {
    candidates: Vec<Candidate>,
    matrix: Arc<RwLock<Matrix>>,
    changes: u64,
}

/// Starts a scan.
fn scan(matrix: Arc<RwLock<Matrix>>, embedding: Embedding, limit: usize) -> JoinHandle<Scanned> {
    let scan = move || {
        let held = matrix.read().expect("no holder of this lock panics");
        let (candidates, changes) = (held.nearest(&embedding, limit), held.changes());
        drop(held);
        Scanned { candidates, matrix, changes }
    };
    spawn_blocking(scan)
}

/// Returns the first `count` candidates that are in a dataset, with their catalogue entries.
async fn look_up(
    store: &Store,
    candidates: Vec<Candidate>,
    count: usize,
) -> Result<Vec<Neighbour>, StoreError> {
    let digests: Vec<Digest> = candidates.iter().map(|candidate| candidate.digest).collect();
    let names = store.catalogue(&digests).await?;
    Ok(candidates
        .into_iter()
        .zip(names)
        .filter(|(_, names)| !names.is_empty())
        .map(|(Candidate { digest, cosine }, names)| Neighbour { digest, cosine, names })
        .take(count)
        .collect())
}
