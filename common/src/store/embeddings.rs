//! The embedding cache, by image and space, shared by embed, train and predict jobs: the hashes `emb:<space>:{…}`.

use super::{Store, StoreError};
use crate::{
    digest::Digest,
    embedding::{Embedding, Space},
};

/// Embeddings per round trip: about 1 MiB.
const PAGE: usize = 1024;

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
