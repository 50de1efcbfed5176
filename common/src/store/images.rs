//! Uploaded images, stored by digest until they expire.
//!
//! Owns the keys `img:<sha>` and the limit on their total size; the HTTP API limits the size of each image.
//! Invariant: the total counts each image from before it is stored until it has expired or is deleted.

use std::{sync::LazyLock, time::Duration};

use redis::Script;

use super::{Store, StoreError};
use crate::digest::Digest;

static RESERVE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/reserve_upload_bytes.lua")));
static DROP: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/drop_images.lua")));

/// What Redis needs for an image beside its bytes: keys, digests in three places, expiry.
const IMAGE_OVERHEAD: u64 = 512;

impl Store {
    /// Stores `bytes` for `ttl` and returns their digest, or `None` if all uploads together would exceed `limit`
    /// bytes.
    pub async fn put_image(
        &self,
        bytes: &[u8],
        ttl: Duration,
        limit: u64,
    ) -> Result<Option<Digest>, StoreError> {
        let (digest, ttl_ms) = (Digest::of(bytes), ttl.as_millis() as u64);
        let size = bytes.len() as u64 + IMAGE_OVERHEAD;
        let mut call = RESERVE.key(self.keys.uploads());
        call.key(self.keys.upload_sizes()).arg(digest.to_string()).arg(size).arg(ttl_ms).arg(limit);
        let mut connection = self.connection.clone();
        if call.invoke_async::<String>(&mut connection).await? == "full" {
            return Ok(None);
        }
        let mut command = redis::cmd("SET");
        command.arg(self.keys.image(&digest)).arg(bytes).arg("PX").arg(ttl_ms);
        command.query_async::<()>(&mut connection).await?;
        // Again, in case all images were deleted meanwhile.
        call.invoke_async::<String>(&mut connection).await?;
        Ok(Some(digest))
    }

    /// Returns the memory that the uploaded images take, in bytes, 512 of them beside each image; expired images
    /// count until the next upload.
    pub async fn upload_bytes(&self) -> Result<u64, StoreError> {
        let mut command = redis::cmd("HGET");
        command.arg(self.keys.upload_sizes()).arg("total");
        let total: Option<u64> = command.query_async(&mut self.connection.clone()).await?;
        Ok(total.unwrap_or(0))
    }

    /// Deletes all uploaded images, and returns their number. Jobs that still need one fail its item as missing.
    pub async fn drop_images(&self) -> Result<u64, StoreError> {
        const PAGE: usize = 1000;
        let mut connection = self.connection.clone();
        let mut dropped = 0;
        loop {
            let mut page = redis::cmd("ZRANGE");
            page.arg(self.keys.uploads()).arg(0).arg(PAGE - 1);
            let digests: Vec<String> = page.query_async(&mut connection).await?;
            if digests.is_empty() {
                return Ok(dropped);
            }
            dropped += digests.len() as u64;
            let mut call = DROP.key(self.keys.uploads());
            call.key(self.keys.upload_sizes());
            for digest in &digests {
                let digest: Digest =
                    digest.parse().map_err(|error| StoreError::corrupt(&self.keys.uploads(), &error))?;
                call.key(self.keys.image(&digest)).arg(digest.to_string());
            }
            call.invoke_async::<()>(&mut connection).await?;
        }
    }

    /// Returns the bytes of an uploaded image; `None` if it expired.
    pub async fn image(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(redis::cmd("GET").arg(self.keys.image(digest)).query_async(&mut self.connection.clone()).await?)
    }

    /// Returns the size of an uploaded image in bytes; 0 if it expired.
    pub async fn image_bytes(&self, digest: &Digest) -> Result<u64, StoreError> {
        Ok(redis::cmd("STRLEN")
            .arg(self.keys.image(digest))
            .query_async(&mut self.connection.clone())
            .await?)
    }
}
