//! The progress of crawl jobs, and which job of a submission crawls which channel.
//!
//! Owns the keys from which another worker resumes a job; the crawler defines the listings. Invariant: progress is
//! deleted when the job is done, or expires after the submission's retention.

use std::{collections::HashMap, sync::LazyLock};

use redis::Script;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{JobRef, Store, StoreError, jobs::job_script};
use crate::{digest::Digest, ids::SubmissionId, job::outcome::ItemFailure};

static SAVE: LazyLock<Script> = LazyLock::new(|| job_script(include_str!("scripts/save_crawled.lua")));
static CLAIM: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/claim_channel.lua")));
static NUMBER: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/number_recorded_response.lua")));

/// Hash field of the listing; it cannot be a video ID, which has 11 characters.
const LISTING: &str = "listing";

/// The outcome for one video's thumbnail.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThumbnailRecord {
    Stored(Thumbnail),
    /// The video has no usable thumbnail.
    Skipped(ItemFailure),
}

/// A thumbnail in the dataset.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Thumbnail {
    /// SHA-256 of the file.
    pub sha256: Digest,
    pub bytes: u64,
    /// The site's `ETag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The site's name for the variant.
    pub variant: String,
    /// In pixels, after cropping.
    pub width: u32,
    /// In pixels, after cropping.
    pub height: u32,
    /// The area cropped from the site's file, as x, y, width and height in pixels; `None` if it was not cropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<[u32; 4]>,
    /// Whether an earlier crawl stored it and it has not changed since.
    #[serde(default)]
    pub unchanged: bool,
}

/// The progress of a crawl job.
#[derive(Clone, PartialEq, Debug)]
pub struct CrawlProgress<Listing> {
    /// The listing so far.
    pub listing: Option<Listing>,
    /// By video ID.
    pub thumbnails: HashMap<String, ThumbnailRecord>,
}

impl Store {
    pub async fn crawl_progress<Listing: DeserializeOwned>(
        &self,
        submission: SubmissionId,
        job: &str,
    ) -> Result<CrawlProgress<Listing>, StoreError> {
        let key = self.keys.crawled(submission, job);
        let corrupt = |error: serde_json::Error| StoreError::corrupt(&key, &error);
        let mut fields: HashMap<String, String> =
            redis::cmd("HGETALL").arg(&key).query_async(&mut self.connection.clone()).await?;
        let listing = fields.remove(LISTING);
        let listing = listing.map(|json| serde_json::from_str(&json)).transpose().map_err(corrupt)?;
        let read = |(video, json): (String, String)| Ok((video, serde_json::from_str(&json)?));
        let thumbnails = fields.into_iter().map(read).collect::<Result<_, _>>().map_err(corrupt)?;
        Ok(CrawlProgress { listing, thumbnails })
    }

    /// Saves a job's listing. Returns whether the job is still open.
    pub async fn save_listing(&self, job: JobRef<'_>, listing: &impl Serialize) -> Result<bool, StoreError> {
        self.save_crawled(job, LISTING, listing, false).await
    }

    /// Saves the outcome of one thumbnail and counts a stored one. Returns whether the job is still open.
    pub async fn save_thumbnail(
        &self,
        job: JobRef<'_>,
        video: &str,
        record: &ThumbnailRecord,
    ) -> Result<bool, StoreError> {
        self.save_crawled(job, video, record, matches!(record, ThumbnailRecord::Stored(_))).await
    }

    async fn save_crawled(
        &self,
        job: JobRef<'_>,
        field: &str,
        value: &impl Serialize,
        counted: bool,
    ) -> Result<bool, StoreError> {
        let verdict: String = SAVE
            .key(self.keys.submission(job.submission))
            .key(self.keys.crawled(job.submission, job.name))
            .key(self.keys.of_submission(job.submission, "jobs"))
            .arg(job.name)
            .arg(job.generation)
            .arg(field)
            .arg(serde_json::to_string(value).expect("progress is plain data"))
            .arg(u8::from(counted))
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(verdict == "saved")
    }

    /// Returns the number, from 1, for a response that is recorded because it could not be parsed; `None` if the
    /// submission already has `limit` of them or no longer exists.
    pub async fn number_recorded_response(
        &self,
        submission: SubmissionId,
        limit: u32,
    ) -> Result<Option<u32>, StoreError> {
        let mut call = NUMBER.key(self.keys.submission(submission));
        let number: u32 = call.arg(limit).invoke_async(&mut self.connection.clone()).await?;
        Ok((number > 0).then_some(number))
    }

    /// Claims a channel for a job of its submission. Returns the name of the job that holds the claim: this one or
    /// an earlier one.
    pub async fn claim_channel(&self, job: JobRef<'_>, channel: &str) -> Result<String, StoreError> {
        Ok(CLAIM
            .key(self.keys.submission(job.submission))
            .key(self.keys.of_submission(job.submission, "channels"))
            .arg(channel)
            .arg(job.name)
            .invoke_async(&mut self.connection.clone())
            .await?)
    }
}
