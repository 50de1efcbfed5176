//! Downloads the thumbnails of a listing into the dataset.
//!
//! Owns the choice of the variant and the order of effects: the file first, then its record. Invariants: a video with
//! a record is not requested again; a record is written only after its file is complete; memory holds at most
//! `CONCURRENCY` images.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use common::{
    digest::Digest,
    job::{
        crawl::Bases,
        outcome::{FailureReason, ItemFailure},
    },
    priority::Priority,
    store::{JobRef, Store, Thumbnail, ThumbnailRecord},
};
use dataset::{files::Files, metadata::Foreign};
use futures::{StreamExt, stream};
use images::{decode::decode, decoder::Decoder, letterbox};
use url::Url;

use crate::{
    error::CrawlError,
    http::{HostKind, Response, WebError},
    listing::Video,
    metadata_part::file_name,
    time_slice::TimeSlice,
    youtube::{
        ids::VideoId,
        thumbnail::{self, ThumbnailResponse, Variant},
    },
};

/// Concurrent downloads of one job.
const CONCURRENCY: usize = 4;
/// On the last attempt, at most one video in this many is skipped because its thumbnail could not be fetched.
const MAX_SKIPPED_ONE_IN: usize = 10;

pub(crate) struct ThumbnailDownloader<'a> {
    pub(crate) slice: &'a TimeSlice,
    /// Base URLs of the site.
    pub(crate) bases: &'a Bases,
    /// The dataset.
    pub(crate) files: &'a Files,
    pub(crate) store: &'a Store,
    pub(crate) job: JobRef<'a>,
    pub(crate) decoder: &'a Decoder,
    /// Thumbnails of an earlier crawl, by video ID.
    pub(crate) stored: HashMap<String, Thumbnail>,
    /// Files in the dataset that this crawl may not replace, by name.
    pub(crate) foreign: HashMap<String, Foreign>,
    /// Whether this is the last attempt, on which a few failed thumbnails are skipped.
    pub(crate) is_last: bool,
}

/// The result of requesting one variant.
enum VariantOutcome {
    Stored(Thumbnail),
    /// The stored copy is current.
    Unchanged,
    Missing,
    /// The file is not a usable image.
    Unusable(ItemFailure),
}

/// Downloads the thumbnail of every video that is not in `records`, and adds its record. A failed download does not
/// stop the others; a snooze does.
pub(crate) async fn download_all(
    downloader: &ThumbnailDownloader<'_>,
    videos: &[Video],
    records: &mut HashMap<String, ThumbnailRecord>,
) -> Result<(), CrawlError> {
    let is_pending = |video: &&Video| !records.contains_key(video.id.as_str());
    let pending: Vec<Video> = videos.iter().filter(is_pending).cloned().collect();
    let (total, stopped) = (pending.len(), AtomicBool::new(false));
    let mut processed = stream::iter(pending)
        .take_while(|_| std::future::ready(!stopped.load(Ordering::Relaxed)))
        .map(|video| downloader.process(video))
        .buffer_unordered(CONCURRENCY)
        .boxed();
    let mut failed: Vec<(VideoId, String)> = Vec::new();
    let mut stop_error = None;
    while let Some((video, record)) = processed.next().await {
        match record {
            Ok(record) => {
                records.insert(video.to_string(), record);
            }
            Err(CrawlError::Retryable(error)) => failed.push((video, error)),
            // Downloads in flight complete; no others start.
            Err(error) => {
                stopped.store(true, Ordering::Relaxed);
                stop_error.get_or_insert(error);
            }
        }
    }
    drop(processed);
    if let Some(error) = stop_error {
        return Err(error);
    }
    // If many failed, the cause is the host rather than single images: retry the job.
    if let Some((_, first)) = failed.first()
        && !(downloader.is_last && failed.len() * MAX_SKIPPED_ONE_IN <= videos.len())
    {
        return Err(CrawlError::retryable(format!(
            "{} of {total} thumbnails could not be fetched: {first}",
            failed.len()
        )));
    }
    for (video, error) in failed {
        let record = ThumbnailRecord::Skipped(ItemFailure::new(FailureReason::Unavailable, error));
        downloader.save_record(&video, &record).await?;
        records.insert(video.to_string(), record);
    }
    Ok(())
}

impl ThumbnailDownloader<'_> {
    /// Downloads one thumbnail and saves its record, which is returned with the video's ID.
    async fn process(&self, video: Video) -> (VideoId, Result<ThumbnailRecord, CrawlError>) {
        let record = match self.fetch(&video).await {
            // A refusal applies to every thumbnail, so it fails the whole item.
            Err(CrawlError::Item(failure)) if failure.reason != FailureReason::Refused => {
                Ok(ThumbnailRecord::Skipped(failure))
            }
            fetched => fetched,
        };
        let saved = match record {
            Ok(record) => self.save_record(&video.id, &record).await.map(|()| record),
            Err(error) => Err(error),
        };
        (video.id, saved)
    }

    async fn save_record(&self, video: &VideoId, record: &ThumbnailRecord) -> Result<(), CrawlError> {
        if self.store.save_thumbnail(self.job, video.as_str(), record).await? {
            Ok(())
        } else {
            Err(CrawlError::retryable("the job has ended on another worker"))
        }
    }

    async fn fetch(&self, video: &Video) -> Result<ThumbnailRecord, CrawlError> {
        let name = file_name(&video.id);
        if self.foreign.get(&name) == Some(&Foreign::Named) {
            return Err(CrawlError::Item(foreign_file(&name)));
        }
        if let Some(stored) = self.stored.get(video.id.as_str())
            && let Some(thumbnail) = self.revalidate(video, stored).await?
        {
            return Ok(ThumbnailRecord::Stored(thumbnail));
        }
        let variants = video.variants.as_deref().unwrap_or(&Variant::BEST_FIRST);
        let mut unusable = None;
        for variant in variants {
            match self.try_variant(&video.id, *variant, None).await? {
                VariantOutcome::Stored(stored) => return Ok(ThumbnailRecord::Stored(stored)),
                VariantOutcome::Unusable(failure) => unusable = unusable.or(Some(failure)),
                VariantOutcome::Unchanged | VariantOutcome::Missing => {}
            }
        }
        Err(unusable.map_or_else(
            || CrawlError::item(FailureReason::Missing, "the site has no thumbnail for this video"),
            CrawlError::Item,
        ))
    }

    /// Revalidates the thumbnail of an earlier crawl by its ETag. Returns `None` if it has to be downloaded again:
    /// without an ETag, or if the stored file has changed.
    async fn revalidate(&self, video: &Video, stored: &Thumbnail) -> Result<Option<Thumbnail>, CrawlError> {
        let (Some(etag), Ok(variant)) = (&stored.etag, parse_variant(&stored.variant)) else {
            return Ok(None);
        };
        if !self.is_stored(&file_name(&video.id), stored).await? {
            return Ok(None);
        }
        let unchanged = Thumbnail { unchanged: true, ..stored.clone() };
        match self.try_variant(&video.id, variant, Some(etag)).await {
            Ok(VariantOutcome::Stored(updated)) => Ok(Some(updated)),
            Ok(VariantOutcome::Unchanged) => Ok(Some(unchanged)),
            Ok(VariantOutcome::Missing | VariantOutcome::Unusable(_)) => Ok(None),
            // On the last attempt, a possibly outdated thumbnail is better than none.
            Err(CrawlError::Retryable(_)) if self.is_last => Ok(Some(unchanged)),
            Err(error) => Err(error),
        }
    }

    /// Requests one variant; `etag` is that of the stored copy.
    async fn try_variant(
        &self,
        video: &VideoId,
        variant: Variant,
        etag: Option<&str>,
    ) -> Result<VariantOutcome, CrawlError> {
        let url = variant.url(self.bases.image.as_str(), video);
        let url = Url::parse(&url).map_err(|error| {
            CrawlError::item(FailureReason::InvalidRow, format!("'{url}' is not a valid URL: {error}"))
        })?;
        let response = match self.slice.get(HostKind::Image, &url, etag).await {
            Ok(response) => response,
            Err(WebError::NotFound(_) | WebError::Gone(_)) => return Ok(VariantOutcome::Missing),
            Err(error) => return Err(error.into()),
        };
        if response.is_not_modified() && etag.is_some() {
            return Ok(VariantOutcome::Unchanged);
        }
        match thumbnail::classify(response.status, &response.bytes) {
            ThumbnailResponse::Image(width, height) => {
                self.store_image(video, variant, response, (width, height)).await
            }
            ThumbnailResponse::Missing => Ok(VariantOutcome::Missing),
            ThumbnailResponse::Blocked(status) => {
                let reason = format!("the host returned {status} for a thumbnail");
                Err(self.slice.back_off(HostKind::Image, &url, &reason).await)
            }
            ThumbnailResponse::Failed(why) if self.is_last => {
                let failure = ItemFailure::new(FailureReason::Undecodable, format!("{url}: {why}"));
                Ok(VariantOutcome::Unusable(failure))
            }
            ThumbnailResponse::Failed(why) => Err(CrawlError::retryable(format!("{url}: {why}"))),
        }
    }

    /// Writes an image, with letterbox bars cropped.
    async fn store_image(
        &self,
        video: &VideoId,
        variant: Variant,
        response: Response,
        size: (u32, u32),
    ) -> Result<VariantOutcome, CrawlError> {
        let Response { bytes, etag, .. } = response;
        // Decode the whole image in either case, to reject a corrupt or oversized one.
        let cropped = self.decoder.run(Priority::Bulk, bytes, move |bytes| {
            let cropped = if variant.may_have_bars() {
                letterbox::crop_bars(&bytes)
            } else {
                decode(&bytes).map(|_| None)
            };
            (cropped, bytes)
        });
        let (bytes, (width, height), crop) = match cropped.await {
            (Ok(Some(cropped)), _) => {
                (cropped.jpeg, (cropped.area.width, cropped.area.height), Some(cropped.area.into()))
            }
            (Ok(None), bytes) => (bytes, size, None),
            (Err(failure), _) => return Ok(VariantOutcome::Unusable(failure)),
        };
        let stored = Thumbnail {
            sha256: Digest::of(&bytes),
            bytes: bytes.len() as u64,
            etag,
            variant: variant.to_string(),
            width,
            height,
            crop,
            unchanged: false,
        };
        let name = file_name(video);
        if !self.foreign.contains_key(&name) {
            self.files.write(&name, Bytes::from(bytes)).await?;
        } else if !self.is_stored(&name, &stored).await? {
            return Err(CrawlError::Item(foreign_file(&name)));
        }
        Ok(VariantOutcome::Stored(stored))
    }

    /// Whether the file `name` of the dataset is this thumbnail.
    async fn is_stored(&self, name: &str, thumbnail: &Thumbnail) -> Result<bool, CrawlError> {
        match self.files.read(name, thumbnail.bytes).await {
            Ok(bytes) => Ok(Digest::of(&bytes) == thumbnail.sha256),
            Err(error) if error.is_retryable() => Err(error.into()),
            Err(_) => Ok(false),
        }
    }
}

fn foreign_file(name: &str) -> ItemFailure {
    let detail = format!(
        "{name} is in the dataset already, and no row of a crawl names it: remove it, or crawl into another dataset"
    );
    ItemFailure::new(FailureReason::Duplicate, detail)
}

fn parse_variant(name: &str) -> Result<Variant, serde_json::Error> {
    serde_json::from_value(serde_json::Value::from(name))
}
