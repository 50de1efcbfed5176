//! Spaces as a whole: which there are, how large they are, and how they are read and dropped.
//!
//! Owns the register of spaces and the walk over their buckets (see [`super::keys`]).

use std::collections::HashMap;

use super::{Store, StoreError, keys::BUCKETS};
use crate::{digest::Digest, embedding::Space};

impl Store {
    /// Registers a space, unless it is, with what it was made by, for listings.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn register_space(&self, space: &Space, description: &str) -> Result<(), StoreError> {
        let mut command = redis::cmd("HSETNX");
        command.arg(self.keys.spaces()).arg(&space.0).arg(description);
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }

    /// Returns the registered spaces and what made them.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn spaces(&self) -> Result<HashMap<String, String>, StoreError> {
        Ok(redis::cmd("HGETALL").arg(self.keys.spaces()).query_async(&mut self.connection.clone()).await?)
    }

    /// Returns how many embeddings each bucket of a space holds.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn bucket_sizes(&self, space: &Space) -> Result<Vec<u64>, StoreError> {
        let mut pipe = redis::pipe();
        for bucket in 0..BUCKETS {
            pipe.hlen(self.keys.bucket(space, bucket));
        }
        Ok(pipe.query_async(&mut self.connection.clone()).await?)
    }

    /// Returns the digests whose embeddings lie in a bucket.
    ///
    /// # Errors
    /// When Redis does not serve or a digest is none.
    pub async fn bucket_digests(&self, space: &Space, bucket: usize) -> Result<Vec<Digest>, StoreError> {
        let key = self.keys.bucket(space, bucket);
        let raw: Vec<Vec<u8>> =
            redis::cmd("HKEYS").arg(&key).query_async(&mut self.connection.clone()).await?;
        raw.into_iter()
            .map(|bytes| {
                let digest: Result<[u8; 32], _> = bytes.try_into();
                digest.map(Digest).map_err(|_| StoreError::corrupt(&key, &"a field that is no digest"))
            })
            .collect()
    }

    /// Drops a space: its embeddings, and its name.
    ///
    /// # Errors
    /// When Redis does not serve; dropping again goes on.
    pub async fn drop_space(&self, space: &Space) -> Result<(), StoreError> {
        let mut pipe = redis::pipe();
        for bucket in 0..BUCKETS {
            pipe.unlink(self.keys.bucket(space, bucket)).ignore();
        }
        pipe.hdel(self.keys.spaces(), &space.0).ignore();
        Ok(pipe.query_async(&mut self.connection.clone()).await?)
    }
}
