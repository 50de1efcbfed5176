//! The embedding cache, by image and space, shared by embed, train and predict jobs: the hashes `emb:<space>:{…}`.

use super::{Store, StoreError};
use crate::{
    digest::Digest,
    embedding::{Embedding, Space},
};

/// Embeddings per round trip: about 1 MiB.
const PAGE: usize = 1024;

/// What [`Store::add_embeddings`] did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct AddedCounts {
    pub added: u64,
    /// Embeddings that the space had already.
    pub present: u64,
    /// Images of which the space has another embedding, which stays.
    pub different: u64,
}

impl Store {
    /// Returns the stored embeddings in the order of `digests`. One of the wrong length counts as absent, so that it
    /// is recomputed and overwritten.
    pub async fn embeddings(
        &self,
        space: &Space,
        digests: &[Digest],
    ) -> Result<Vec<Option<Embedding>>, StoreError> {
        let mut found = Vec::with_capacity(digests.len());
        for page in digests.chunks(PAGE) {
            let mut pipe = redis::pipe();
            for digest in page {
                pipe.hget(self.keys.embeddings(space, digest), &digest.0);
            }
            let raw: Vec<Option<Vec<u8>>> = pipe.query_async(&mut self.connection.clone()).await?;
            for (digest, bytes) in page.iter().zip(raw) {
                let embedding = bytes.and_then(|bytes| {
                    let embedding = Embedding::from_bytes(&bytes);
                    if embedding.is_none() {
                        tracing::warn!(
                            %space, %digest, bytes = bytes.len(),
                            "a stored embedding has the wrong length; it will be recomputed"
                        );
                    }
                    embedding
                });
                found.push(embedding);
            }
        }
        Ok(found)
    }

    /// Adds the embeddings of images that the space has none of. A stored one of the wrong length is replaced.
    pub async fn add_embeddings(
        &self,
        space: &Space,
        embeddings: &[(Digest, Embedding)],
    ) -> Result<AddedCounts, StoreError> {
        let mut counts = AddedCounts::default();
        for page in embeddings.chunks(PAGE) {
            let mut pipe = redis::pipe();
            for (digest, embedding) in page {
                pipe.cmd("HSETNX")
                    .arg(self.keys.embeddings(space, digest))
                    .arg(&digest.0)
                    .arg(embedding.to_bytes());
            }
            let added: Vec<bool> = pipe.query_async(&mut self.connection.clone()).await?;
            let known = page.iter().zip(&added).filter(|(_, added)| !**added).map(|(embedding, _)| embedding);
            let known: Vec<&(Digest, Embedding)> = known.collect();
            counts.added += (page.len() - known.len()) as u64;
            let digests: Vec<Digest> = known.iter().map(|(digest, _)| *digest).collect();
            let mut unusable = Vec::new();
            for ((digest, embedding), stored) in
                known.into_iter().zip(self.embeddings(space, &digests).await?)
            {
                match stored {
                    Some(stored) if stored == *embedding => counts.present += 1,
                    Some(_) => counts.different += 1,
                    None => unusable.push((*digest, embedding.clone())),
                }
            }
            self.put_embeddings(space, &unusable).await?;
            counts.added += unusable.len() as u64;
        }
        Ok(counts)
    }

    pub async fn put_embeddings(
        &self,
        space: &Space,
        embeddings: &[(Digest, Embedding)],
    ) -> Result<(), StoreError> {
        for page in embeddings.chunks(PAGE) {
            let mut pipe = redis::pipe();
            for (digest, embedding) in page {
                pipe.hset(self.keys.embeddings(space, digest), &digest.0, embedding.to_bytes()).ignore();
            }
            pipe.query_async::<()>(&mut self.connection.clone()).await?;
        }
        Ok(())
    }
}
