//! The crawl job: bring one channel, or one slice of a list, into a dataset.
//!
//! Owns the order of effects: the listing is kept when it is complete, each thumbnail before its record, and the
//! part of the metadata last. Does not own how a source is read (see [`crawler`]).

use std::collections::HashMap;

use common::{
    job::{
        args::CrawlArgs,
        crawl::{CrawlItem, Target},
        envelope::Envelope,
        outcome::{FailureReason, ItemResult},
    },
    store::{CrawlProgress, JobRef, ThumbnailRecord},
};
use crawler::{
    Answers, Bringing, Listing, Part, Stop, Turn, Written, bring_in,
    sources::{Asking, Draft},
    turn_is_over,
};
use dataset::{files::Files, parts};

use super::{JobError, Outcome};
use crate::worker::Worker;

/// Crawls the one item of the job. Where it is interrupted or has to wait, what it brought in stays, and nothing of
/// it is asked for again.
///
/// # Errors
/// When the manifest cannot be read, the site or the storage does not serve, or the job has to rest.
pub(super) async fn run(worker: &Worker, job: &Envelope, args: &CrawlArgs) -> Result<Outcome, JobError> {
    let unreadable = |error: &dyn std::fmt::Display| {
        JobError::Retryable(format!("the manifest part {} cannot be read: {error}", args.chunk.part))
    };
    let items: Vec<CrawlItem> =
        parts::read_part(&args.chunk.part).await.map_err(|error| unreadable(&error))?;
    let [item] = items.as_slice() else {
        return Err(JobError::Permanent(format!("a crawl job has one item, and this one {}", items.len())));
    };
    let name = job.args.name();
    let job_ref = JobRef { submission: job.submission, name: &name, generation: job.generation };
    let result = match crawl(worker, job, job_ref, args, item).await {
        Ok(result) => result,
        Err(Stop::Item(failure)) => ItemResult::Failed(failure),
        Err(Stop::Rest(mut pause)) => {
            if turn_is_over(&pause) {
                pause.until_ms = worker.store.now_ms().await?;
            }
            return Err(JobError::Rests(pause));
        }
        Err(Stop::Storage(error) | Stop::Retryable(error)) => return Err(JobError::Retryable(error)),
        Err(Stop::Permanent(error)) => return Err(JobError::Permanent(error)),
        Err(Stop::Store(error)) => return Err(JobError::Store(error)),
    };
    Ok(Outcome::Items { results: vec![(args.chunk.first_item, result)], unresolved: None })
}

async fn crawl(
    worker: &Worker,
    job: &Envelope,
    job_ref: JobRef<'_>,
    args: &CrawlArgs,
    item: &CrawlItem,
) -> Result<ItemResult, Stop> {
    let permanent = Stop::Permanent;
    let out = args.chunk.dataset.as_ref().ok_or_else(|| permanent("the job names no dataset".to_owned()))?;
    let files = Files::open(out).map_err(|error| permanent(error.to_string()))?;
    let store = &worker.store;
    let turn = Turn::new(&worker.web, worker.job_limit);
    let answers = Answers::new(store, job.submission, &args.chunk.part, &item.item);
    let asking = Asking { turn: &turn, answers: &answers, plan: &args.plan, store };

    let CrawlProgress { listing, thumbnails: mut records } =
        store.crawl_progress::<Draft>(job.submission, job_ref.name).await?;
    let mut draft = match listing {
        Some(draft) => draft,
        None => Draft::begin(&args.plan, item)?,
    };
    let was_complete = matches!(draft, Draft::Complete(_));
    let listing = draft.complete(asking).await;
    if !was_complete && !matches!(listing, Err(Stop::Item(_))) {
        store.keep_listing(job_ref, &draft).await?;
    }
    let listing = listing?;
    require_videos(&listing)?;
    if let Some(channel) = &listing.channel {
        claim(worker, job_ref, channel.id.as_str()).await?;
    }

    let named = match &item.target {
        Target::Channel(_) => &[][..],
        Target::Videos(videos) => videos,
    };
    let part = Part::of(listing.channel.as_ref(), named);
    let bringing = Bringing {
        turn: &turn,
        bases: &args.plan.bases,
        files: &files,
        store,
        job: job_ref,
        decoder: &worker.decoder,
        earlier: part.earlier(&files).await?,
        is_last: job.attempt >= job.max_attempts,
    };
    bring_in(&bringing, &listing.videos, &mut records).await?;
    require_thumbnails(&records)?;
    let written = Written {
        listing: &listing,
        records: &records,
        category: item.category.as_deref(),
        source: args.plan.source,
    };
    Ok(ItemResult::Crawled(part.write(&files, written).await?))
}

/// A channel without any video that can be taken is nothing to be glad about.
fn require_videos(listing: &Listing) -> Result<(), Stop> {
    if !listing.videos.is_empty() {
        return Ok(());
    }
    let left_out: Vec<String> =
        listing.left_out.iter().map(|(reason, videos)| format!("{videos} {reason}")).collect();
    let seen = if left_out.is_empty() { "none at all".to_owned() } else { left_out.join(", ") };
    Err(Stop::item(FailureReason::Unavailable, format!("it has no videos that can be taken: {seen}")))
}

/// Nor is one without any thumbnail: an earlier part, if there is one, stays as it is.
fn require_thumbnails(records: &HashMap<String, ThumbnailRecord>) -> Result<(), Stop> {
    let first = records.iter().filter_map(|(video, record)| match record {
        ThumbnailRecord::Stored(_) => None,
        ThumbnailRecord::LeftOut(failure) => Some((video, failure)),
    });
    let Some((video, failure)) = first.clone().min_by_key(|(video, _)| *video) else { return Ok(()) };
    if first.count() < records.len() {
        return Ok(());
    }
    let detail =
        format!("none of its {} videos has a thumbnail that can be used: {video}: {failure}", records.len());
    Err(Stop::item(FailureReason::Unavailable, detail))
}

/// Claims a channel, which two items may name differently.
async fn claim(worker: &Worker, job: JobRef<'_>, channel: &str) -> Result<(), Stop> {
    let holder = worker.store.claim_channel(job, channel).await?;
    if holder == job.name {
        return Ok(());
    }
    let detail = format!("it is the channel {channel}, which item {holder} of this submission is about, too");
    Err(Stop::item(FailureReason::Duplicate, detail))
}
