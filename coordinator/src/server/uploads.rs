//! Stores images that clients upload, or that the coordinator fetches for them.
//!
//! Owns the memory for the bodies of requests. [`crawler::http`] decides which URLs may be fetched.

use bytes::Bytes;
use common::{config::ImageSettings, store::Store};
use crawler::http::{FetchError, ImageFetcher};

use super::{error::RequestError, memory, shared_budget::SharedBudget};
use crate::api::{DroppedUploads, StoredImage};

/// Total size of bodies and fetched images that are received but not stored yet.
const MEMORY_BYTES: u64 = 256 << 20;
/// The part of it that the clients with one access token can use.
const TOKEN_BYTES: u64 = 64 << 20;

pub(crate) struct Uploads {
    store: Store,
    settings: ImageSettings,
    fetcher: ImageFetcher,
    memory: SharedBudget,
}

impl Uploads {
    pub(crate) fn new(store: Store, settings: ImageSettings) -> Self {
        let fetcher = ImageFetcher::new(&settings.fetch_allow, settings.max_image_bytes);
        Self { store, settings, fetcher, memory: SharedBudget::new(MEMORY_BYTES, TOKEN_BYTES) }
    }

    /// The memory for the bodies of requests.
    pub(crate) fn memory(&self) -> &SharedBudget {
        &self.memory
    }

    /// Returns the size limit of an image.
    pub(crate) fn max_bytes(&self) -> usize {
        self.settings.max_image_bytes as usize
    }

    /// Stores an uploaded image, whose size the caller has checked.
    ///
    /// # Errors
    /// `Invalid` if it is empty; `Busy` if stored uploads have reached the size limit, or the memory of Redis is nearly
    /// used up.
    pub(crate) async fn put(&self, bytes: Bytes) -> Result<StoredImage, RequestError> {
        if bytes.is_empty() {
            return Err(RequestError::Invalid("the image is empty (0 bytes)".to_owned()));
        }
        memory::require_free(&self.store).await?;
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

    /// Deletes all stored images.
    pub(crate) async fn drop_all(&self) -> Result<DroppedUploads, RequestError> {
        Ok(DroppedUploads { dropped: self.store.drop_images().await? })
    }

    /// Fetches an image from a public address and stores it.
    ///
    /// # Errors
    /// `Forbidden` if the URL may not be fetched; `Invalid` if the request fails or the response is too large.
    pub(crate) async fn fetch(&self, token: Option<&str>, url: &str) -> Result<StoredImage, RequestError> {
        let _reservation = self.memory.reserve(token, self.settings.max_image_bytes).await;
        let bytes = self.fetcher.fetch(url).await.map_err(|error| match error {
            FetchError::Refused(message) => RequestError::Forbidden(message),
            FetchError::TooLarge(message) | FetchError::Failed(message) => RequestError::Invalid(message),
        })?;
        self.put(bytes.into()).await
    }
}
