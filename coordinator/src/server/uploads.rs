//! Stores images that clients upload, or that the coordinator fetches for them.
//!
//! Owns the bound on the memory of concurrent uploads. [`crawler::http`] decides which URLs may be fetched.

use bytes::Bytes;
use common::{byte_budget::ByteBudget, config::ImageSettings, store::Store};
use crawler::http::{FetchError, ImageFetcher};
use tokio::sync::OwnedSemaphorePermit;

use super::error::RequestError;
use crate::api::StoredImage;

/// Total size of images that are received but not stored yet.
const MEMORY_BYTES: u64 = 256 << 20;

pub(crate) struct Uploads {
    store: Store,
    settings: ImageSettings,
    fetcher: ImageFetcher,
    memory: ByteBudget,
}

impl Uploads {
    pub(crate) fn new(store: Store, settings: ImageSettings) -> Self {
        let fetcher = ImageFetcher::new(&settings.fetch_allow, settings.max_image_bytes);
        Self { store, settings, fetcher, memory: ByteBudget::new(MEMORY_BYTES) }
    }

    /// Waits until an upload of `bytes`, or of the largest size if unknown, fits into `MEMORY_BYTES`.
    pub(crate) async fn reserve(&self, bytes: Option<u64>) -> OwnedSemaphorePermit {
        let largest = self.settings.max_image_bytes;
        self.memory.acquire(bytes.unwrap_or(largest).min(largest)).await
    }

    /// Stores an uploaded image, whose size the caller has checked.
    ///
    /// # Errors
    /// `Invalid` if it is empty; `Busy` if stored uploads have reached the size limit.
    pub(crate) async fn put(&self, bytes: Bytes) -> Result<StoredImage, RequestError> {
        if bytes.is_empty() {
            return Err(RequestError::Invalid("the image is empty (0 bytes)".to_owned()));
        }
        let (ttl, limit) = (self.settings.upload_ttl(), self.settings.max_upload_bytes);
        match self.store.put_image(&bytes, ttl, limit).await? {
            Some(sha256) => Ok(StoredImage { sha256, bytes: bytes.len() as u64 }),
            None => Err(RequestError::Busy(format!(
                "uploaded images have reached the limit of {limit} bytes (SUBWATCH_MAX_UPLOAD_BYTES); each \
                 expires after {} s: try again later, or submit a folder that the coordinator can read",
                ttl.as_secs()
            ))),
        }
    }

    /// Fetches an image from a public address and stores it.
    ///
    /// # Errors
    /// `Forbidden` if the URL may not be fetched; `Invalid` if the request fails or the response is too large.
    pub(crate) async fn fetch(&self, url: &str) -> Result<StoredImage, RequestError> {
        let _reservation = self.reserve(None).await;
        let bytes = self.fetcher.fetch(url).await.map_err(|error| match error {
            FetchError::Refused(message) => RequestError::Forbidden(message),
            FetchError::TooLarge(message) | FetchError::Failed(message) => RequestError::Invalid(message),
        })?;
        self.put(bytes.into()).await
    }
}
