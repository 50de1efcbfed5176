//! Brings the thumbnails of a listing into the dataset.
//!
//! Owns which variant is taken, what is no thumbnail, and the order of effects: the file first, then its record.
//! Invariants: a video that has a record is not asked for again; a file lies there whole before its record says
//! so; the pictures in memory are as many as may be asked for at once.

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
    store::{JobRef, Store, Thumbnail, ThumbnailRecord},
};
use dataset::files::Files;
use futures::{StreamExt, stream};
use images::{decode::decode, letterbox, pool::CpuPool};
use url::Url;

use crate::{
    error::CrawlError,
    http::{Answer, HostKind, WebError},
    listing::Video,
    metadata_part::file_name,
    time_slice::TimeSlice,
    youtube::{
        ids::VideoId,
        thumbnail::{self, Reply, Variant},
    },
};

/// Thumbnails of one job under way at once.
const WINDOW: usize = 4;
/// At the last attempt, one of so many videos may be left out because its thumbnail cannot be had now.
const ONE_OF: usize = 10;

/// What thumbnails are brought in with.
pub(crate) struct ThumbnailDownloader<'a> {
    /// The turn within which it must be over.
    pub(crate) slice: &'a TimeSlice,
    /// Where thumbnails are asked for.
    pub(crate) bases: &'a Bases,
    /// The dataset.
    pub(crate) files: &'a Files,
    /// Where records are kept.
    pub(crate) store: &'a Store,
    /// Whose records they are.
    pub(crate) job: JobRef<'a>,
    /// Threads that look into pictures.
    pub(crate) decoder: &'a CpuPool,
    /// Thumbnails that an earlier crawl brought in, by video.
    pub(crate) earlier: HashMap<String, Thumbnail>,
    /// Whether there is no other attempt: the few that cannot be had are left out.
    pub(crate) is_last: bool,
}

/// What asking for one variant yields.
enum Tried {
    /// It lies in the dataset now.
    Stored(Thumbnail),
    /// The copy there is the current one.
    Unchanged,
    /// The site has none.
    Missing,
    /// What the site has is no picture that can be used.
    Unusable(ItemFailure),
}

/// Settles the thumbnail of every video that is not in `records`, and puts it there. What stands in the way of
/// one keeps no other from being brought in.
///
/// # Errors
/// When some are not settled.
pub(crate) async fn download_all(
    bringing: &ThumbnailDownloader<'_>,
    videos: &[Video],
    records: &mut HashMap<String, ThumbnailRecord>,
) -> Result<(), CrawlError> {
    let is_open = |video: &&Video| !records.contains_key(video.id.as_str());
    let open: Vec<Video> = videos.iter().filter(is_open).cloned().collect();
    let (all, stopped) = (open.len(), AtomicBool::new(false));
    let mut settled = stream::iter(open)
        .take_while(|_| std::future::ready(!stopped.load(Ordering::Relaxed)))
        .map(|video| bringing.settle(video))
        .buffer_unordered(WINDOW)
        .boxed();
    let mut later: Vec<(VideoId, String)> = Vec::new();
    let mut stop = None;
    while let Some((video, record)) = settled.next().await {
        match record {
            Ok(record) => {
                records.insert(video.to_string(), record);
            }
            Err(CrawlError::Retryable(error)) => later.push((video, error)),
            // What is under way comes to its end; nothing else is begun.
            Err(why) => {
                stopped.store(true, Ordering::Relaxed);
                stop.get_or_insert(why);
            }
        }
    }
    drop(settled);
    if let Some(stop) = stop {
        return Err(stop);
    }
    // Where there are many, the host is in trouble, and not their pictures.
    if let Some((_, first)) = later.first()
        && !(bringing.is_last && later.len() * ONE_OF <= videos.len())
    {
        return Err(CrawlError::retryable(format!(
            "{} of {all} thumbnails are not there yet: {first}",
            later.len()
        )));
    }
    for (video, error) in later {
        let record = ThumbnailRecord::Skipped(ItemFailure::new(FailureReason::Unavailable, error));
        bringing.keep(&video, &record).await?;
        records.insert(video.to_string(), record);
    }
    Ok(())
}

impl ThumbnailDownloader<'_> {
    /// Brings in one thumbnail and keeps its record, which is returned beside the video's id.
    async fn settle(&self, video: Video) -> (VideoId, Result<ThumbnailRecord, CrawlError>) {
        let record = match self.fetch(&video).await {
            // What is refused is refused for every picture.
            Err(CrawlError::Item(failure)) if failure.reason != FailureReason::Refused => {
                Ok(ThumbnailRecord::Skipped(failure))
            }
            fetched => fetched,
        };
        let kept = match record {
            Ok(record) => self.keep(&video.id, &record).await.map(|()| record),
            Err(stop) => Err(stop),
        };
        (video.id, kept)
    }

    async fn keep(&self, video: &VideoId, record: &ThumbnailRecord) -> Result<(), CrawlError> {
        if self.store.keep_thumbnail(self.job, video.as_str(), record).await? {
            Ok(())
        } else {
            Err(CrawlError::retryable("the job ended elsewhere"))
        }
    }

    async fn fetch(&self, video: &Video) -> Result<ThumbnailRecord, CrawlError> {
        if let Some(earlier) = self.earlier.get(video.id.as_str())
            && let Some(kept) = self.keep_earlier(video, earlier).await?
        {
            return Ok(ThumbnailRecord::Stored(kept));
        }
        let variants = video.variants.as_deref().unwrap_or(&Variant::BEST_FIRST);
        let mut unusable = None;
        for variant in variants {
            match self.try_variant(&video.id, *variant, None).await? {
                Tried::Stored(stored) => return Ok(ThumbnailRecord::Stored(stored)),
                Tried::Unusable(failure) => unusable = unusable.or(Some(failure)),
                Tried::Unchanged | Tried::Missing => {}
            }
        }
        Err(unusable.map_or_else(
            || CrawlError::item(FailureReason::Missing, "the site has no thumbnail of it"),
            CrawlError::Item,
        ))
    }

    /// Asks whether a thumbnail is still what an earlier crawl brought in, whose file must still be that.
    async fn keep_earlier(
        &self,
        video: &Video,
        earlier: &Thumbnail,
    ) -> Result<Option<Thumbnail>, CrawlError> {
        let (Some(etag), Ok(variant)) = (&earlier.etag, variant_named(&earlier.variant)) else {
            return Ok(None);
        };
        let name = file_name(&video.id);
        let bytes = match self.files.read(&name, earlier.bytes).await {
            Ok(bytes) => bytes,
            Err(error) if error.is_retryable() => return Err(error.into()),
            Err(_) => return Ok(None),
        };
        if Digest::of(&bytes) != earlier.sha256 {
            return Ok(None);
        }
        let kept = Thumbnail { kept: true, ..earlier.clone() };
        match self.try_variant(&video.id, variant, Some(etag)).await {
            Ok(Tried::Stored(stored)) => Ok(Some(stored)),
            Ok(Tried::Unchanged) => Ok(Some(kept)),
            Ok(Tried::Missing | Tried::Unusable(_)) => Ok(None),
            // What is there is better than nothing.
            Err(CrawlError::Retryable(_)) if self.is_last => Ok(Some(kept)),
            Err(stop) => Err(stop),
        }
    }

    /// Asks for one variant, of which there may be a copy with `etag`.
    async fn try_variant(
        &self,
        video: &VideoId,
        variant: Variant,
        etag: Option<&str>,
    ) -> Result<Tried, CrawlError> {
        let url = variant.url(self.bases.image.as_str(), video);
        let url = Url::parse(&url).map_err(|error| {
            CrawlError::item(FailureReason::InvalidRow, format!("'{url}' is no URL: {error}"))
        })?;
        let answer = match self.slice.get(HostKind::Image, &url, etag).await {
            Ok(answer) => answer,
            Err(WebError::NotFound(_) | WebError::Gone(_)) => return Ok(Tried::Missing),
            Err(error) => return Err(error.into()),
        };
        if answer.is_not_modified() && etag.is_some() {
            return Ok(Tried::Unchanged);
        }
        match thumbnail::judge(answer.status, &answer.bytes) {
            Reply::Picture(width, height) => {
                self.store_picture(video, variant, answer, (width, height)).await
            }
            Reply::Missing => Ok(Tried::Missing),
            Reply::Refused(status) => {
                Err(self.slice.trouble(&url, &format!("it answers {status} for thumbnails")).await)
            }
            Reply::Failed(why) if self.is_last => {
                let failure = ItemFailure::new(FailureReason::Undecodable, format!("{url}: {why}"));
                Ok(Tried::Unusable(failure))
            }
            Reply::Failed(why) => Err(CrawlError::retryable(format!("{url}: {why}"))),
        }
    }

    /// Writes a picture, without bars where it has some.
    async fn store_picture(
        &self,
        video: &VideoId,
        variant: Variant,
        answer: Answer,
        size: (u32, u32),
    ) -> Result<Tried, CrawlError> {
        let Answer { bytes, etag, .. } = answer;
        // Either way the whole picture is decoded: what cannot be, or is too large, is none.
        let cut = self.decoder.run(move || {
            let cut = if variant.may_have_bars() {
                letterbox::cut_bars(&bytes)
            } else {
                decode(&bytes).map(|_| None)
            };
            (cut, bytes)
        });
        let (bytes, (width, height), crop) = match cut.await {
            (Ok(Some(cut)), _) => (cut.jpeg, (cut.area.width, cut.area.height), Some(cut.area.into())),
            (Ok(None), bytes) => (bytes, size, None),
            (Err(failure), _) => return Ok(Tried::Unusable(failure)),
        };
        let stored = Thumbnail {
            sha256: Digest::of(&bytes),
            bytes: bytes.len() as u64,
            etag,
            variant: variant.to_string(),
            width,
            height,
            crop,
            kept: false,
        };
        self.files.write(&file_name(video), Bytes::from(bytes)).await?;
        Ok(Tried::Stored(stored))
    }
}

fn variant_named(name: &str) -> Result<Variant, serde_json::Error> {
    serde_json::from_value(serde_json::Value::from(name))
}
