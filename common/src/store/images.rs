//! Uploaded images: bytes a caller sent, kept by digest for a while.
//!
//! Owns the keys `img:<sha>` and the account of how many bytes they are together; the HTTP API bounds the size of
//! each. Invariant: room is taken before bytes are kept, and given back no sooner than they are gone.

use std::{sync::LazyLock, time::Duration};

use redis::Script;

use super::{Store, StoreError};
use crate::digest::Digest;

static TAKE_ROOM: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/reserve_upload_bytes.lua")));

impl Store {
    /// Keeps `bytes` for `ttl` and returns their digest; nothing where all that are kept would then be more than
    /// `limit` bytes.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn put_image(
        &self,
        bytes: &[u8],
        ttl: Duration,
        limit: u64,
    ) -> Result<Option<Digest>, StoreError> {
        let (digest, ttl_ms) = (Digest::of(bytes), ttl.as_millis() as u64);
        let verdict: String = TAKE_ROOM
            .key(self.keys.uploads())
            .key(self.keys.upload_sizes())
            .arg(digest.to_string())
            .arg(bytes.len())
            .arg(ttl_ms)
            .arg(limit)
            .invoke_async(&mut self.connection.clone())
            .await?;
        if verdict == "full" {
            return Ok(None);
        }
        let mut command = redis::cmd("SET");
        command.arg(self.keys.image(&digest)).arg(bytes).arg("PX").arg(ttl_ms);
        command.query_async::<()>(&mut self.connection.clone()).await?;
        Ok(Some(digest))
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
