//! Images of callers: uploaded, or fetched for them.

use bytes::Bytes;
use crawler::http::guarded::FetchError;
use tokio::sync::OwnedSemaphorePermit;

use super::{Coordinator, RequestError};
use crate::api::StoredImage;

impl Coordinator {
    /// Waits until an upload of `bytes`, or of any size where it does not say, fits into memory beside the
    /// others.
    pub async fn room_for_upload(&self, bytes: Option<u64>) -> OwnedSemaphorePermit {
        let largest = self.context.settings.images.max_image_bytes;
        self.context.uploads.acquire(bytes.unwrap_or(largest).min(largest)).await
    }

    /// Keeps an uploaded image; the caller has bounded its size.
    ///
    /// # Errors
    /// When it is empty, there is no room beside those that are kept, or the store does not serve.
    pub async fn put_image(&self, bytes: Bytes) -> Result<StoredImage, RequestError> {
        if bytes.is_empty() {
            return Err(RequestError::Invalid("the image has no bytes".to_owned()));
        }
        let settings = &self.context.settings.images;
        let (ttl, limit) = (settings.upload_ttl(), settings.max_upload_bytes);
        match self.context.store.put_image(&bytes, ttl, limit).await? {
            Some(sha256) => Ok(StoredImage { sha256, bytes: bytes.len() as u64 }),
            None => Err(RequestError::Busy(format!(
                "uploaded images take up all of {limit} bytes (SUBWATCH_MAX_UPLOAD_BYTES), and each is kept for {} \
                 seconds: try again later, or name a folder that the coordinator can read",
                ttl.as_secs()
            ))),
        }
    }

    /// Fetches an image from a public address and keeps it.
    ///
    /// # Errors
    /// When the URL may not be fetched or yields no image of an allowed size, or the store does not serve.
    pub async fn fetch_image(&self, url: &str) -> Result<StoredImage, RequestError> {
        let _room = self.room_for_upload(None).await;
        let bytes = self.context.fetcher.fetch(url).await.map_err(|error| match error {
            FetchError::Refused(what) => RequestError::Forbidden(what),
            FetchError::TooLarge(what) | FetchError::Failed(what) => RequestError::Invalid(what),
        })?;
        self.put_image(bytes.into()).await
    }
}
