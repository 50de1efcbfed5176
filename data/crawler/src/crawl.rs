//! One crawl, from its job's item to a part of the dataset: the listing, the claim of the channel, the thumbnails, the
//! rows.
//!
//! Owns the order of effects: the listing is kept when it is complete, each thumbnail before its record, and the
//! part of the metadata last. Where a crawl is interrupted or has to wait, what it brought in stays, and nothing of it
//! is requested again.

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
use images::pool::CpuPool;

use crate::{
    error::CrawlError,
    http::Web,
    listing::Listing,
    metadata_part::{Part, Written},
    recorded_response::ResponseRecorder,
    sources::{Draft, SourceContext},
    thumbnails::{ThumbnailDownloader, download_all},
    time_slice::{self, TimeSlice},
};

/// A crawl job, and what the worker carries it out with.
pub struct Crawl<'a> {
    /// Keeps how far the crawl is.
    pub store: &'a Store,
    /// Makes the requests.
    pub web: &'a Web,
    /// Threads that decode pictures.
    pub decoder: &'a CpuPool,
    /// How long the worker may work on a job.
    pub job_timeout: Duration,
    /// The job.
    pub job: JobRef<'a>,
    /// Its arguments.
    pub args: &'a CrawlArgs,
    /// Whether there is no other attempt.
    pub is_last: bool,
}

impl Crawl<'_> {
    /// Crawls the one item of the job.
    ///
    /// # Errors
    /// See [`CrawlError`]. A pause that it names has an end, in Redis's time.
    pub async fn run(&self) -> Result<Crawled, CrawlError> {
        let part = &self.args.chunk.part;
        let items: Vec<CrawlItem> = parts::read_part(part).await.map_err(|error| {
            CrawlError::Retryable(format!("the manifest part {part} cannot be read: {error}"))
        })?;
        let [item] = items.as_slice() else {
            return Err(CrawlError::Permanent(format!(
                "a crawl job has one item, and this one {}",
                items.len()
            )));
        };
        match self.crawl(item).await {
            Err(CrawlError::Rest(mut pause)) => {
                if time_slice::is_over(&pause) {
                    pause.until_ms = self.store.now_ms().await?;
                }
                Err(CrawlError::Rest(pause))
            }
            done => done,
        }
    }

    async fn crawl(&self, item: &CrawlItem) -> Result<Crawled, CrawlError> {
        let Self { store, job, args, .. } = *self;
        let permanent = CrawlError::Permanent;
        let out =
            args.chunk.dataset.as_ref().ok_or_else(|| permanent("the job names no dataset".to_owned()))?;
        let files = Files::open(out).map_err(|error| permanent(error.to_string()))?;
        let slice = TimeSlice::new(self.web, self.job_timeout);

        let CrawlProgress { listing, thumbnails: mut records } =
            store.crawl_progress::<Draft>(job.submission, job.name).await?;
        let draft = match listing {
            Some(draft) => draft,
            None => Draft::begin(&args.plan, item)?,
        };
        let listing = self.list(item, &slice, draft).await?;
        require_videos(&listing)?;
        if let Some(channel) = &listing.channel {
            self.claim(channel.id.as_str()).await?;
        }

        let named = match &item.target {
            CrawlTarget::Channel(_) => &[][..],
            CrawlTarget::Videos(videos) => videos,
        };
        let part = Part::of(listing.channel.as_ref(), named);
        let bringing = ThumbnailDownloader {
            slice: &slice,
            bases: &args.plan.bases,
            files: &files,
            store,
            job,
            decoder: self.decoder,
            earlier: part.earlier(&files).await?,
            is_last: self.is_last,
        };
        download_all(&bringing, &listing.videos, &mut records).await?;
        require_thumbnails(&records)?;
        let written = Written {
            listing: &listing,
            records: &records,
            category: item.category.as_deref(),
            source: args.plan.source,
        };
        Ok(part.write(&files, written).await?)
    }

    /// Completes a listing, and keeps what was asked so far even where it is not complete.
    async fn list(
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
            store.keep_listing(job, &draft).await?;
        }
        listing
    }

    /// Claims a channel, which two items may name differently.
    async fn claim(&self, channel: &str) -> Result<(), CrawlError> {
        let holder = self.store.claim_channel(self.job, channel).await?;
        if holder == self.job.name {
            return Ok(());
        }
        let detail =
            format!("it is the channel {channel}, which item {holder} of this submission is about, too");
        Err(CrawlError::item(FailureReason::Duplicate, detail))
    }
}

/// A channel without any video that can be taken is an error, not an empty success.
fn require_videos(listing: &Listing) -> Result<(), CrawlError> {
    if !listing.videos.is_empty() {
        return Ok(());
    }
    let skipped: Vec<String> =
        listing.skipped.iter().map(|(reason, videos)| format!("{videos} {reason}")).collect();
    let seen = if skipped.is_empty() { "none at all".to_owned() } else { skipped.join(", ") };
    Err(CrawlError::item(FailureReason::Unavailable, format!("it has no videos that can be taken: {seen}")))
}

/// So is one without any thumbnail: an earlier part, if there is one, stays as it is.
fn require_thumbnails(records: &HashMap<String, ThumbnailRecord>) -> Result<(), CrawlError> {
    let first = records.iter().filter_map(|(video, record)| match record {
        ThumbnailRecord::Stored(_) => None,
        ThumbnailRecord::Skipped(failure) => Some((video, failure)),
    });
    let Some((video, failure)) = first.clone().min_by_key(|(video, _)| *video) else { return Ok(()) };
    if first.count() < records.len() {
        return Ok(());
    }
    let detail =
        format!("none of its {} videos has a thumbnail that can be used: {video}: {failure}", records.len());
    Err(CrawlError::item(FailureReason::Unavailable, detail))
}
