//! What a crawl job brought in so far, and which job of a submission has which channel.
//!
//! Owns the keys beside a submission that let a job go on where another worker left it; the meaning of what
//! is kept belongs to the crawler. Invariant: everything is forgotten with the job, or a retention later.

use std::{collections::HashMap, sync::LazyLock};

use redis::Script;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{JobRef, Store, StoreError, jobs::job_script};
use crate::{digest::Digest, ids::SubmissionId, job::outcome::ItemFailure};

static KEEP: LazyLock<Script> = LazyLock::new(|| job_script(include_str!("scripts/keep_crawled.lua")));
static CLAIM: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/claim_channel.lua")));

static NUMBER: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/number_recorded_response.lua")));

/// The field of the listing, which no video's id equals.
const LISTING: &str = "listing";

/// What became of one video's thumbnail.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThumbnailRecord {
    /// It lies in the dataset.
    Stored(Thumbnail),
    /// There is none that can be used.
    Skipped(ItemFailure),
}

/// A thumbnail that lies in the dataset.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Thumbnail {
    /// SHA-256 of the file.
    pub sha256: Digest,
    /// Size of the file.
    pub bytes: u64,
    /// The tag that the site gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Which of the site's variants it is.
    pub variant: String,
    /// Pixels, as it lies there.
    pub width: u32,
    /// Likewise.
    pub height: u32,
    /// What was cut out of the site's file: x, y, width and height; nothing where it was kept whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<[u32; 4]>,
    /// Whether an earlier crawl had brought it in.
    #[serde(default)]
    pub kept: bool,
}

/// What a job brought in so far.
#[derive(Clone, PartialEq, Debug)]
pub struct CrawlProgress<Listing> {
    /// The listing, as far as it is.
    pub listing: Option<Listing>,
    /// Thumbnails, by video id.
    pub thumbnails: HashMap<String, ThumbnailRecord>,
}

impl Store {
    /// Returns what a job brought in so far.
    ///
    /// # Errors
    /// When Redis does not serve, or what is kept is not readable.
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

    /// Keeps a job's listing. Returns whether the work still has a point.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn keep_listing(&self, job: JobRef<'_>, listing: &impl Serialize) -> Result<bool, StoreError> {
        self.keep_crawled(job, LISTING, listing, false).await
    }

    /// Keeps what became of one thumbnail, and counts it. Returns whether the work still has a point.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn keep_thumbnail(
        &self,
        job: JobRef<'_>,
        video: &str,
        record: &ThumbnailRecord,
    ) -> Result<bool, StoreError> {
        self.keep_crawled(job, video, record, matches!(record, ThumbnailRecord::Stored(_))).await
    }

    async fn keep_crawled(
        &self,
        job: JobRef<'_>,
        field: &str,
        value: &impl Serialize,
        counted: bool,
    ) -> Result<bool, StoreError> {
        let verdict: String = KEEP
            .key(self.keys.submission(job.submission))
            .key(self.keys.crawled(job.submission, job.name))
            .key(self.keys.of_submission(job.submission, "jobs"))
            .arg(job.name)
            .arg(job.generation)
            .arg(field)
            .arg(serde_json::to_string(value).expect("what is kept is plain data"))
            .arg(u8::from(counted))
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(verdict == "kept")
    }

    /// Numbers an answer that is kept because it could not be read; nothing once a submission has `limit` of
    /// them, or is gone.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn number_recorded_response(
        &self,
        submission: SubmissionId,
        limit: u32,
    ) -> Result<Option<u32>, StoreError> {
        let mut call = NUMBER.key(self.keys.submission(submission));
        let number: u32 = call.arg(limit).invoke_async(&mut self.connection.clone()).await?;
        Ok((number > 0).then_some(number))
    }

    /// Claims a channel for a job of its submission. Returns the name of the job that has it: this one, or
    /// the one that came first.
    ///
    /// # Errors
    /// When Redis does not serve.
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
