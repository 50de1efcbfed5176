//! The similarity index: the embeddings of one space, in memory.
//!
//! Owns one matrix, of the space that was asked about last, and keeps it equal to the store. Before every
//! search the sizes of the space's buckets are compared, which takes one round trip; only those that
//! differ are read. So embeddings that were added, dropped or lost are seen by the next search.

use std::{
    collections::HashSet,
    sync::{Arc, RwLock},
};

use common::{
    digest::Digest,
    embedding::{Embedding, Space},
    store::{BUCKETS, CatalogueEntry, Store, StoreError, bucket_of},
};
use tokio::sync::Mutex;

use super::matrix::{Matrix, Near};

/// Embeddings read in one go.
const PAGE: usize = 4096;
/// Neighbours asked of the matrix beyond those wanted, since some are in no dataset.
const SPARE: usize = 64;

/// The index. One search fills it at a time; searches themselves run side by side.
#[derive(Default)]
pub(crate) struct SimilarityIndex {
    held: Mutex<Option<Held>>,
}

struct Held {
    space: Space,
    bucket_sizes: Vec<u64>,
    matrix: Arc<RwLock<Matrix>>,
}

/// A similar image of a dataset.
pub(super) struct Neighbour {
    pub(super) digest: Digest,
    pub(super) cosine: f32,
    pub(super) entry: CatalogueEntry,
}

impl SimilarityIndex {
    /// Finds the `count` images of datasets nearest to `embedding`, without `but`, and says how many images
    /// the space holds.
    ///
    /// # Errors
    /// When the store does not serve.
    pub(super) async fn nearest(
        &self,
        store: &Store,
        space: &Space,
        embedding: &Embedding,
        but: &Digest,
        count: usize,
    ) -> Result<(Vec<Neighbour>, usize), StoreError> {
        let matrix = self.up_to_date(store, space).await?;
        let held = matrix.read().expect("no holder of this lock panics").len();
        let mut asked = count + SPARE;
        loop {
            let (matrix, embedding) = (matrix.clone(), embedding.clone());
            let search =
                move || matrix.read().expect("no holder of this lock panics").nearest(&embedding, asked);
            let mut near = tokio::task::spawn_blocking(search).await.expect("a search does not panic");
            let exhausted = near.len() < asked;
            near.retain(|near| near.digest != *but);
            let found = named(store, near, count).await?;
            if found.len() == count || exhausted {
                return Ok((found, held));
            }
            asked *= 4;
        }
    }

    /// Forgets what it holds: a space that is dropped and filled again may have other images in buckets of
    /// the same sizes.
    pub(crate) async fn forget(&self) {
        drop(self.held.lock().await.take());
    }

    /// Makes the matrix equal to the store.
    async fn up_to_date(&self, store: &Store, space: &Space) -> Result<Arc<RwLock<Matrix>>, StoreError> {
        let mut held = self.held.lock().await;
        if held.as_ref().is_none_or(|held| held.space != *space) {
            // The old matrix goes before the new one grows.
            drop(held.take());
        }
        let Held { bucket_sizes, matrix, .. } = held.get_or_insert_with(|| Held {
            space: space.clone(),
            bucket_sizes: vec![0; BUCKETS],
            matrix: Arc::default(),
        });
        let sizes = store.bucket_sizes(space).await?;
        let changed: Vec<usize> =
            (0..BUCKETS).filter(|bucket| sizes[*bucket] != bucket_sizes[*bucket]).collect();
        if changed.is_empty() {
            return Ok(matrix.clone());
        }
        let mut there = HashSet::new();
        let mut read = sizes.clone();
        for bucket in &changed {
            let digests = store.bucket_digests(space, *bucket).await?;
            read[*bucket] = digests.len() as u64;
            there.extend(digests);
        }
        let changed: HashSet<usize> = changed.into_iter().collect();
        let (gone, new) = {
            let matrix = matrix.read().expect("no holder of this lock panics");
            let is_gone = |digest: &Digest| changed.contains(&bucket_of(digest)) && !there.contains(digest);
            let gone = matrix.digests_where(is_gone);
            (gone, there.iter().filter(|digest| !matrix.contains(digest)).copied().collect::<Vec<_>>())
        };
        for page in new.chunks(PAGE) {
            let embeddings = store.embeddings(space, page).await?;
            let mut matrix = matrix.write().expect("no holder of this lock panics");
            for (digest, embedding) in page.iter().zip(embeddings) {
                if let Some(embedding) = embedding {
                    matrix.insert(*digest, &embedding);
                }
            }
        }
        let mut rows = matrix.write().expect("no holder of this lock panics");
        for digest in &gone {
            rows.remove(digest);
        }
        tracing::debug!(%space, images = rows.len(), new = new.len(), gone = gone.len(), "similarity matrix");
        drop(rows);
        *bucket_sizes = read;
        Ok(matrix.clone())
    }
}

/// The first `count` that are in a dataset.
async fn named(store: &Store, near: Vec<Near>, count: usize) -> Result<Vec<Neighbour>, StoreError> {
    let digests: Vec<Digest> = near.iter().map(|near| near.digest).collect();
    let entries = store.catalogue(&digests).await?;
    Ok(near
        .into_iter()
        .zip(entries)
        .filter_map(|(near, entry)| {
            Some(Neighbour { digest: near.digest, cosine: near.cosine, entry: entry? })
        })
        .take(count)
        .collect())
}
