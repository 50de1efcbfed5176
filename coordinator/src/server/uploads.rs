//! Stores images that clients upload, or that the coordinator fetches for them.
//!
//! Owns the bounds on the memory of concurrent uploads: in all, and by access token, so that one client cannot keep the
//! others waiting. [`crawler::http`] decides which URLs may be fetched.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use common::{byte_budget::ByteBudget, config::ImageSettings, store::Store};
use crawler::http::{FetchError, ImageFetcher};
use tokio::sync::OwnedSemaphorePermit;

use super::error::RequestError;
use crate::api::{DroppedUploads, StoredImage};

/// Total size of images that are received but not stored yet.
const MEMORY_BYTES: u64 = 256 << 20;
/// The part of it that the clients with one access token can use.
const TOKEN_BYTES: u64 = 64 << 20;

pub(crate) struct Uploads {
    store: Store,
    settings: ImageSettings,
    fetcher: ImageFetcher,
    memory: ByteBudget,
    /// Budgets by token; there are as many as tokens.
    by_token: Mutex<HashMap<String, ByteBudget>>,
}

/// Memory reserved for an upload.
pub(crate) struct Reservation {
    _of_token: Option<OwnedSemaphorePermit>,
    _of_all: OwnedSemaphorePermit,
}

impl Uploads {
    pub(crate) fn new(store: Store, settings: ImageSettings) -> Self {
        let fetcher = ImageFetcher::new(&settings.fetch_allow, settings.max_image_bytes);
        Self { store, settings, fetcher, memory: ByteBudget::new(MEMORY_BYTES), by_token: Mutex::default() }
    }

    /// Returns the size limit of an image.
    pub(crate) fn max_bytes(&self) -> usize {
        self.settings.max_image_bytes as usize
    }

    /// Waits until an upload of `bytes`, or of the largest size if unknown, fits into the memory for all and into that
    /// for the token called `token`.
    pub(crate) async fn reserve(&self, token: Option<&str>, bytes: Option<u64>) -> Reservation {
        let largest = self.settings.max_image_bytes;
        let bytes = bytes.unwrap_or(largest).min(largest);
        let of_token = match token.map(|token| self.budget_of(token)) {
            Some(budget) => Some(budget.acquire(bytes).await),
            None => None,
        };
        Reservation { _of_token: of_token, _of_all: self.memory.acquire(bytes).await }
    }

    fn budget_of(&self, token: &str) -> ByteBudget {
        let mut budgets = self.by_token.lock().unwrap_or_else(PoisonError::into_inner);
        budgets.entry(token.to_owned()).or_insert_with(|| ByteBudget::new(TOKEN_BYTES)).clone()
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

    /// Deletes all stored images.
    pub(crate) async fn drop_all(&self) -> Result<DroppedUploads, RequestError> {
        Ok(DroppedUploads { dropped: self.store.drop_images().await? })
    }

    /// Fetches an image from a public address and stores it.
    ///
    /// # Errors
    /// `Forbidden` if the URL may not be fetched; `Invalid` if the request fails or the response is too large.
    pub(crate) async fn fetch(&self, token: Option<&str>, url: &str) -> Result<StoredImage, RequestError> {
        let _reservation = self.reserve(token, None).await;
        let bytes = self.fetcher.fetch(url).await.map_err(|error| match error {
            FetchError::Refused(message) => RequestError::Forbidden(message),
            FetchError::TooLarge(message) | FetchError::Failed(message) => RequestError::Invalid(message),
        })?;
        self.put(bytes.into()).await
    }
}
