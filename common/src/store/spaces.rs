//! The register of embedding spaces, and operations over all buckets of a space (see [`super::keys`]).

use std::collections::HashMap;

use super::{Store, StoreError, keys::BUCKETS};
use crate::{digest::Digest, embedding::Space};

impl Store {
    /// Registers a space with a description for listings. Repeating it changes nothing.
    pub async fn register_space(&self, space: &Space, description: &str) -> Result<(), StoreError> {
        let mut command = redis::cmd("HSETNX");
        command.arg(self.keys.spaces()).arg(&space.0).arg(description);
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }

    /// Records that a worker of `space` has started.
    pub async fn set_last_space(&self, space: &Space) -> Result<(), StoreError> {
        let mut command = redis::cmd("SET");
        command.arg(self.keys.last_space()).arg(&space.0);
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }

    /// Returns the space of the worker that started last; `None` if none with a model ever has.
    pub async fn last_space(&self) -> Result<Option<Space>, StoreError> {
        let mut command = redis::cmd("GET");
        command.arg(self.keys.last_space());
        let name: Option<String> = command.query_async(&mut self.connection.clone()).await?;
        Ok(name.map(Space))
    }

    /// Returns the registered spaces and their descriptions.
    pub async fn spaces(&self) -> Result<HashMap<String, String>, StoreError> {
        Ok(redis::cmd("HGETALL").arg(self.keys.spaces()).query_async(&mut self.connection.clone()).await?)
    }

    /// Returns the number of embeddings in each bucket.
    pub async fn bucket_sizes(&self, space: &Space) -> Result<Vec<u64>, StoreError> {
        let mut pipe = redis::pipe();
        for bucket in 0..BUCKETS {
            pipe.hlen(self.keys.bucket(space, bucket));
        }
        Ok(pipe.query_async(&mut self.connection.clone()).await?)
    }

    pub async fn bucket_digests(&self, space: &Space, bucket: usize) -> Result<Vec<Digest>, StoreError> {
        let key = self.keys.bucket(space, bucket);
        let raw: Vec<Vec<u8>> =
            redis::cmd("HKEYS").arg(&key).query_async(&mut self.connection.clone()).await?;
        raw.into_iter()
            .map(|bytes| {
                let digest: Result<[u8; 32], _> = bytes.try_into();
                digest.map(Digest).map_err(|_| StoreError::corrupt(&key, &"a field is not a SHA-256 digest"))
            })
            .collect()
    }

    /// Deletes a space and its embeddings. After an error, repeat it.
    pub async fn drop_space(&self, space: &Space) -> Result<(), StoreError> {
        let mut pipe = redis::pipe();
        for bucket in 0..BUCKETS {
            pipe.unlink(self.keys.bucket(space, bucket)).ignore();
        }
        pipe.hdel(self.keys.spaces(), &space.0).ignore();
        Ok(pipe.query_async(&mut self.connection.clone()).await?)
    }
}
