//! Runs one crawl job: lists the videos, claims the channel, downloads the thumbnails, writes the rows.
//!
//! Owns the order of effects: the listing is stored first, then the names of files that it may not replace, each
//! thumbnail before its record, and the metadata part last. An interrupted or snoozed crawl resumes from what is stored
//! and repeats no request.

use std::{collections::HashMap, time::Duration};

use common::{
    job::{
        args::CrawlArgs,
        crawl::{CrawlItem, CrawlTarget},
        outcome::{Crawled, FailureReason},
    },
    store::{CrawlProgress, JobRef, Store, ThumbnailRecord},
};
use dataset::files::{Files, parts};
use images::decoder::Decoder;

use crate::{
    error::CrawlError,
    http::Web,
    listing::Listing,
    metadata_part::{Part, PartContents, foreign_thumbnails},
    recorded_response::ResponseRecorder,
    sources::{Draft, SourceContext},
    thumbnails::{ThumbnailDownloader, download_all},
    time_slice::{self, TimeSlice},
};

/// A crawl job, with the worker's resources that it uses.
pub struct Crawl<'a> {
    pub store: &'a Store,
    pub web: &'a Web,
    pub decoder: &'a Decoder,
    /// How long the worker may work on a job.
    pub job_timeout: Duration,
    pub job: JobRef<'a>,
    pub args: &'a CrawlArgs,
    /// Whether this is the last attempt.
    pub is_last: bool,
}

impl Crawl<'_> {
    /// Crawls the job's only item.
    ///
    /// # Errors
    /// See [`CrawlError`]. The deadline of a [`CrawlError::Snooze`] is in ms of Redis's clock.
    pub async fn run(&self) -> Result<Crawled, CrawlError> {
        let part = &self.args.chunk.part;
        let items: Vec<CrawlItem> = parts::read_chunk(&self.args.chunk).await.map_err(|error| {
            CrawlError::Retryable(format!("could not read manifest part {part}: {error}"))
        })?;
        let [item] = items.as_slice() else {
            return Err(CrawlError::Permanent(format!(
                "a crawl job must have 1 item, but {part} has {}",
                items.len()
            )));
        };
        match self.crawl(item).await {
            Err(CrawlError::Snooze(mut snooze)) => {
                if time_slice::is_slice_end(&snooze) {
                    snooze.until_ms = self.store.now_ms().await?;
                }
                Err(CrawlError::Snooze(snooze))
            }
            result => result,
        }
    }

    async fn crawl(&self, item: &CrawlItem) -> Result<Crawled, CrawlError> {
        let Self { store, job, args, .. } = *self;
        let permanent = CrawlError::Permanent;
        let dataset =
            args.chunk.dataset.as_ref().ok_or_else(|| permanent("the job has no dataset".to_owned()))?;
        let files = Files::open(dataset).map_err(|error| match error.is_retryable() {
            true => CrawlError::Retryable(error.to_string()),
            false => permanent(error.to_string()),
        })?;
        let slice = TimeSlice::new(self.web, &args.plan.bases, self.job_timeout);

        let CrawlProgress { listing, thumbnails: mut records } =
            store.crawl_progress::<Draft>(job.submission, job.name).await?;
        let draft = match listing {
            Some(draft) => draft,
            None => Draft::begin(&args.plan, item)?,
        };
        let mut listing = self.complete_listing(item, &slice, draft).await?;
        require_videos(&listing)?;
        if let Some(channel) = &listing.channel {
            self.claim(channel.id.as_str()).await?;
        }

        let videos = match &item.target {
            CrawlTarget::Channel(_) => &[][..],
            CrawlTarget::Videos(videos) => videos,
        };
        let part = Part::new(listing.channel.as_ref(), videos);
        let stored = part.stored_thumbnails(&files).await?;
        // Once a thumbnail is written, its file would count as foreign.
        if listing.foreign.is_none() {
            listing.foreign = Some(foreign_thumbnails(&files, &stored, &listing.videos).await?);
            if !store.save_listing(job, &Draft::Complete(listing.clone())).await? {
                return Err(CrawlError::retryable("the job has ended on another worker"));
            }
        }
        let downloader = ThumbnailDownloader {
            slice: &slice,
            bases: &args.plan.bases,
            files: &files,
            store,
            job,
            decoder: self.decoder,
            foreign: listing.foreign.clone().unwrap_or_default(),
            stored,
            is_last: self.is_last,
        };
        download_all(&downloader, &listing.videos, &mut records).await?;
        require_thumbnails(&records)?;
        let contents = PartContents {
            listing: &listing,
            records: &records,
            category: item.category.as_deref(),
            source: args.plan.source,
        };
        Ok(part.write(&files, contents).await?)
    }

    /// Completes a listing, and stores its progress even if it is interrupted.
    async fn complete_listing(
        &self,
        item: &CrawlItem,
        slice: &TimeSlice,
        mut draft: Draft,
    ) -> Result<Listing, CrawlError> {
        let Self { store, job, args, .. } = *self;
        let recorder = ResponseRecorder::new(store, job.submission, &args.chunk.part, &item.item);
        let context = SourceContext { slice, recorder: &recorder, plan: &args.plan, store };
        let was_complete = matches!(draft, Draft::Complete(_));
        let listing = draft.complete(context).await;
        if !was_complete && !matches!(listing, Err(CrawlError::Item(_))) {
            store.save_listing(job, &draft).await?;
        }
        listing
    }

    /// Claims a channel for this job: another item may name the same channel differently, by handle or by ID.
    async fn claim(&self, channel: &str) -> Result<(), CrawlError> {
        let holder = self.store.claim_channel(self.job, channel).await?;
        if holder == self.job.name {
            return Ok(());
        }
        let detail = format!("channel {channel} is already crawled by job {holder} of this submission");
        Err(CrawlError::item(FailureReason::Duplicate, detail))
    }
}

/// Fails a channel without usable videos, which would otherwise be an empty success.
fn require_videos(listing: &Listing) -> Result<(), CrawlError> {
    if !listing.videos.is_empty() {
        return Ok(());
    }
    let skipped: Vec<String> =
        listing.skipped.iter().map(|(reason, videos)| format!("{videos} {reason}")).collect();
    let detail = if skipped.is_empty() {
        "the channel has no videos".to_owned()
    } else {
        format!("all videos were skipped: {}", skipped.join(", "))
    };
    Err(CrawlError::item(FailureReason::Unavailable, detail))
}

/// Fails a channel without usable thumbnails, so that the metadata part of an earlier crawl is not replaced.
fn require_thumbnails(records: &HashMap<String, ThumbnailRecord>) -> Result<(), CrawlError> {
    let first = records.iter().filter_map(|(video, record)| match record {
        ThumbnailRecord::Stored(_) => None,
        ThumbnailRecord::Skipped(failure) => Some((video, failure)),
    });
    let Some((video, failure)) = first.clone().min_by_key(|(video, _)| *video) else { return Ok(()) };
    if first.count() < records.len() {
        return Ok(());
    }
    let detail = format!("none of {} videos has a usable thumbnail; video {video}: {failure}", records.len());
    Err(CrawlError::item(FailureReason::Unavailable, detail))
}
