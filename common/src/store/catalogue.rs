//! The catalogue: which video an embedded dataset image belongs to, for similarity search.
//!
//! Owns the hashes `image:{…}` (by digest) and `video:{…}` (by video ID). An image has a name from each dataset that
//! contains it; one without metadata never replaces one with. Uploaded images are not included: they are private.

use serde::{Deserialize, Serialize};

use super::{BUCKETS, Store, StoreError};
use crate::digest::Digest;

const PUT: &str = include_str!("scripts/put_catalogue.lua");
/// Entries per round trip.
const PAGE: usize = 1024;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CatalogueEntry {
    /// File name relative to its dataset.
    pub item: String,
    /// URL of the dataset.
    pub dataset: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_id: Option<String>,
    /// The channel's name, or else its ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
}

impl Store {
    pub async fn put_catalogue(&self, entries: &[(Digest, CatalogueEntry)]) -> Result<(), StoreError> {
        for page in entries.chunks(PAGE) {
            let mut pipe = redis::pipe();
            for (digest, entry) in page {
                let json = serde_json::to_string(entry).expect("an entry is plain data");
                pipe.cmd("EVAL")
                    .arg(PUT)
                    .arg(1)
                    .arg(self.keys.catalogue(digest))
                    .arg(&digest.0)
                    .arg(json)
                    .ignore();
                if let Some(video) = &entry.video_id {
                    pipe.hset(self.keys.videos(video), video, &digest.0).ignore();
                }
            }
            pipe.query_async::<()>(&mut self.connection.clone()).await?;
        }
        Ok(())
    }

    /// Returns the names of each image: those with metadata first, then the newest; none for images outside all embedded
    /// datasets.
    pub async fn catalogue(&self, digests: &[Digest]) -> Result<Vec<Vec<CatalogueEntry>>, StoreError> {
        let mut found = Vec::with_capacity(digests.len());
        for page in digests.chunks(PAGE) {
            let mut pipe = redis::pipe();
            for digest in page {
                pipe.hget(self.keys.catalogue(digest), &digest.0);
            }
            let raw: Vec<Option<String>> = pipe.query_async(&mut self.connection.clone()).await?;
            for (digest, json) in page.iter().zip(raw) {
                let names = json.map_or(Ok(Vec::new()), |json| parse(&json));
                found.push(names.map_err(|error| StoreError::corrupt(&self.keys.catalogue(digest), &error))?);
            }
        }
        Ok(found)
    }

    /// Returns the number of images with a name.
    pub async fn catalogue_len(&self) -> Result<u64, StoreError> {
        let mut pipe = redis::pipe();
        for bucket in 0..BUCKETS {
            pipe.hlen(self.keys.catalogue_bucket(bucket));
        }
        let sizes: Vec<u64> = pipe.query_async(&mut self.connection.clone()).await?;
        Ok(sizes.into_iter().sum())
    }

    /// Returns the digest of a video's image.
    pub async fn video_image(&self, video: &str) -> Result<Option<Digest>, StoreError> {
        let key = self.keys.videos(video);
        let mut command = redis::cmd("HGET");
        command.arg(&key).arg(video);
        let bytes: Option<Vec<u8>> = command.query_async(&mut self.connection.clone()).await?;
        bytes
            .map(|bytes| {
                let digest: Result<[u8; 32], _> = bytes.try_into();
                digest.map(Digest).map_err(|_| StoreError::corrupt(&key, &"not a SHA-256 digest"))
            })
            .transpose()
    }
}

/// Parses the names of an image; earlier versions stored one entry.
fn parse(json: &str) -> Result<Vec<CatalogueEntry>, serde_json::Error> {
    if json.starts_with('[') { serde_json::from_str(json) } else { Ok(vec![serde_json::from_str(json)?]) }
}
