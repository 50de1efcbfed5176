//! Images of callers: uploaded, or fetched for them.
//!
//! Owns how many bytes of images are on their way into the store at once. Does not own how long the store
//! keeps them, nor what may be fetched at all (see [`crawler::http`]).

use bytes::Bytes;
use common::{byte_budget::ByteBudget, config::ImageSettings, store::Store};
use crawler::http::{FetchError, ImageFetcher};
use tokio::sync::OwnedSemaphorePermit;

use super::error::RequestError;
use crate::api::StoredImage;

/// Bytes of images on their way into the store at once.
const MEMORY_BYTES: u64 = 256 << 20;

/// The way of images into the store.
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

    /// Waits until an upload of `bytes`, or of any size if that is unknown, fits into memory beside the others.
    pub(crate) async fn room(&self, bytes: Option<u64>) -> OwnedSemaphorePermit {
        let largest = self.settings.max_image_bytes;
        self.memory.acquire(bytes.unwrap_or(largest).min(largest)).await
    }

    /// Keeps an uploaded image; the caller has bounded its size.
    ///
    /// # Errors
    /// When it is empty, there is no room beside those that are kept, or the store does not serve.
    pub(crate) async fn put(&self, bytes: Bytes) -> Result<StoredImage, RequestError> {
        if bytes.is_empty() {
            return Err(RequestError::Invalid("the image has no bytes".to_owned()));
        }
        let (ttl, limit) = (self.settings.upload_ttl(), self.settings.max_upload_bytes);
        match self.store.put_image(&bytes, ttl, limit).await? {
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
    pub(crate) async fn fetch(&self, url: &str) -> Result<StoredImage, RequestError> {
        let _room = self.room(None).await;
        let bytes = self.fetcher.fetch(url).await.map_err(|error| match error {
            FetchError::Refused(what) => RequestError::Forbidden(what),
            FetchError::TooLarge(what) | FetchError::Failed(what) => RequestError::Invalid(what),
        })?;
        self.put(bytes.into()).await
    }
}
