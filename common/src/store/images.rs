//! Uploaded images: bytes a caller sent, kept by digest for a while.
//!
//! Owns the keys `img:<sha>`; the HTTP API bounds their size.

use std::time::Duration;

use super::{Store, StoreError};
use crate::ids::Digest;

impl Store {
    /// Keeps `bytes` for `ttl` and returns their digest.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn put_image(&self, bytes: &[u8], ttl: Duration) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        let mut command = redis::cmd("SET");
        command.arg(self.keys.image(&digest)).arg(bytes).arg("PX").arg(ttl.as_millis() as u64);
        command.query_async::<()>(&mut self.connection.clone()).await?;
        Ok(digest)
    }

    /// Returns the bytes of an uploaded image, unless it expired.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn image(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(redis::cmd("GET").arg(self.keys.image(digest)).query_async(&mut self.connection.clone()).await?)
    }

    /// Returns the size of an uploaded image in bytes; 0 when it is not there.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn image_bytes(&self, digest: &Digest) -> Result<u64, StoreError> {
        Ok(redis::cmd("STRLEN")
            .arg(self.keys.image(digest))
            .query_async(&mut self.connection.clone())
            .await?)
    }
}
