//! The catalogue: which video an embedded image of a dataset shows, for similarity search.
//!
//! Owns the hashes `image:{…}` (by digest) and `video:{…}` (by video id). The last dataset to be embedded
//! names an image. Uploaded images are not in it: they are their sender's own.

use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::digest::Digest;

/// Entries read or written in one round trip.
const PAGE: usize = 1024;

/// What an image shows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CatalogueEntry {
    /// File name relative to its dataset.
    pub item: String,
    /// URL of the dataset.
    pub dataset: String,
    /// The video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_id: Option<String>,
    /// The video's channel: its name, or else its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
}

impl Store {
    /// Puts images into the catalogue; doing it twice changes nothing.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn put_catalogue(&self, entries: &[(Digest, CatalogueEntry)]) -> Result<(), StoreError> {
        for page in entries.chunks(PAGE) {
            let mut pipe = redis::pipe();
            for (digest, entry) in page {
                let json = serde_json::to_string(entry).expect("an entry is plain data");
                pipe.hset(self.keys.catalogue(digest), &digest.0, json).ignore();
                if let Some(video) = &entry.video_id {
                    pipe.hset(self.keys.videos(video), video, &digest.0).ignore();
                }
            }
            pipe.query_async::<()>(&mut self.connection.clone()).await?;
        }
        Ok(())
    }

    /// Returns what images show, in the order of `digests`; nothing for one that is in no dataset.
    ///
    /// # Errors
    /// When Redis does not serve or an entry is not one.
    pub async fn catalogue(&self, digests: &[Digest]) -> Result<Vec<Option<CatalogueEntry>>, StoreError> {
        let mut found = Vec::with_capacity(digests.len());
        for page in digests.chunks(PAGE) {
            let mut pipe = redis::pipe();
            for digest in page {
                pipe.hget(self.keys.catalogue(digest), &digest.0);
            }
            let raw: Vec<Option<String>> = pipe.query_async(&mut self.connection.clone()).await?;
            for (digest, json) in page.iter().zip(raw) {
                let parse = |json: String| serde_json::from_str(&json);
                let entry = json.map(parse).transpose();
                found.push(entry.map_err(|error| StoreError::corrupt(&self.keys.catalogue(digest), &error))?);
            }
        }
        Ok(found)
    }

    /// Returns the digest of a video's image.
    ///
    /// # Errors
    /// When Redis does not serve or the digest is none.
    pub async fn video_image(&self, video: &str) -> Result<Option<Digest>, StoreError> {
        let key = self.keys.videos(video);
        let mut command = redis::cmd("HGET");
        command.arg(&key).arg(video);
        let bytes: Option<Vec<u8>> = command.query_async(&mut self.connection.clone()).await?;
        bytes
            .map(|bytes| {
                let digest: Result<[u8; 32], _> = bytes.try_into();
                digest.map(Digest).map_err(|_| StoreError::corrupt(&key, &"no digest"))
            })
            .transpose()
    }
}
