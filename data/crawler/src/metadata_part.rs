//! The rows of a crawl: the part of a dataset's metadata that one job writes.
//!
//! Owns what goes into the columns and the part's name, which says what was crawled rather than by which job, so that crawling
//! it again replaces its rows. Invariants: a row's file lies in the dataset; what a source does not say is
//! absent, never zero; the same listing and records make the same bytes.

use std::collections::HashMap;

use bytes::Bytes;
use common::{
    digest::Digest,
    job::{crawl::Source, outcome::Crawled},
    store::{Thumbnail, ThumbnailRecord},
};
use dataset::{
    files::{Files, ReadError},
    row::Row,
};
use jiff::Timestamp;

use crate::{
    listing::{Channel, Listing, Video},
    youtube::{counts::Count, ids::VideoId},
};

/// Largest part that is read again.
const LARGEST_PART: u64 = 64 << 20;

/// The file of a video's thumbnail, below the dataset.
pub(crate) fn file_name(video: &VideoId) -> String {
    format!("thumbnails/{video}.jpg")
}

/// The part of a dataset's metadata that is about one channel, or one slice of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    name: String,
}

/// What a part says.
pub(crate) struct Written<'a> {
    /// What was listed.
    pub(crate) listing: &'a Listing,
    /// What became of the thumbnails.
    pub(crate) records: &'a HashMap<String, ThumbnailRecord>,
    /// The category of all of it.
    pub(crate) category: Option<&'a str>,
    /// Where the listing came from.
    pub(crate) source: Source,
}

impl Part {
    /// The part of a channel, or else of the videos that were named: whatever becomes of them.
    #[must_use]
    pub(crate) fn of(channel: Option<&Channel>, named: &[String]) -> Self {
        let name = match channel {
            Some(channel) => format!("metadata/{}.jsonl", channel.id),
            None => format!("metadata/list-{}.jsonl", Digest::of(named.join("\n").as_bytes()).prefix(32)),
        };
        Self { name }
    }

    /// Returns the thumbnails that an earlier crawl of the same brought in, by video. Rows that it cannot read
    /// are passed over: they are written anew.
    ///
    /// # Errors
    /// When the storage fails.
    pub(crate) async fn earlier(&self, files: &Files) -> Result<HashMap<String, Thumbnail>, ReadError> {
        let bytes = match files.read(&self.name, LARGEST_PART).await {
            Ok(bytes) => bytes,
            Err(error) if error.is_retryable() => return Err(error),
            Err(_) => return Ok(HashMap::new()),
        };
        let rows = bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        let thumbnail = |row: Row| {
            let thumbnail = Thumbnail {
                sha256: row.sha256?,
                bytes: row.bytes?,
                etag: row.etag,
                variant: row.thumbnail_variant?,
                width: row.thumbnail_width?,
                height: row.thumbnail_height?,
                crop: row.thumbnail_crop.flatten(),
                kept: true,
            };
            Some((row.video_id?, thumbnail))
        };
        Ok(rows.filter_map(thumbnail).collect())
    }

    /// Writes the rows, whole, and returns what the item brought in.
    ///
    /// # Errors
    /// When the storage fails.
    pub(crate) async fn write(&self, files: &Files, written: Written<'_>) -> Result<Crawled, ReadError> {
        let Written { listing, records, .. } = written;
        let mut crawled = Crawled {
            part: self.name.clone(),
            channel_id: listing.channel.as_ref().map(|channel| channel.id.to_string()),
            videos: listing.videos.len() as u64,
            truncated_reason: listing.truncated_reason.clone(),
            skipped: listing.skipped.clone(),
            ..Crawled::default()
        };
        let mut rows = Vec::new();
        for video in &listing.videos {
            match records.get(video.id.as_str()) {
                Some(ThumbnailRecord::Stored(thumbnail)) => {
                    crawled.thumbnails += 1;
                    crawled.kept += u64::from(thumbnail.kept);
                    let row = row(&written, video, thumbnail);
                    serde_json::to_writer(&mut rows, &row).expect("a row is plain data");
                    rows.push(b'\n');
                }
                Some(ThumbnailRecord::Skipped(failure)) => {
                    *crawled.skipped.entry(format!("thumbnail {}", failure.reason)).or_default() += 1;
                }
                None => {}
            }
        }
        files.write(&self.name, Bytes::from(rows)).await?;
        Ok(crawled)
    }
}

fn row(written: &Written<'_>, video: &Video, thumbnail: &Thumbnail) -> Row {
    let channel = video.channel.as_ref().or(written.listing.channel.as_ref());
    let subscribers = channel.and_then(|channel| channel.subscribers);
    let value = |count: Option<Count>| count.map(|count| count.value);
    let is_approximate = |count: Option<Count>| count.map(|count| count.approximate);
    Row {
        file_name: file_name(&video.id),
        video_id: Some(video.id.to_string()),
        title: video.title.clone(),
        channel_id: channel.map(|channel| channel.id.to_string()),
        channel: channel.map(|channel| channel.title.clone()).filter(|title| !title.is_empty()),
        category: written.category.map(str::to_owned),
        subscribers: value(subscribers),
        subscribers_approximate: is_approximate(subscribers),
        views: value(video.views),
        views_approximate: is_approximate(video.views),
        published: video.published.clone(),
        published_text: video.published_text.clone(),
        crawled_at: Some(time(written.listing.listed_ms)),
        source: Some(written.source.name().to_owned()),
        thumbnail_variant: Some(thumbnail.variant.clone()),
        thumbnail_width: Some(thumbnail.width),
        thumbnail_height: Some(thumbnail.height),
        thumbnail_crop: Some(thumbnail.crop),
        bytes: Some(thumbnail.bytes),
        sha256: Some(thumbnail.sha256),
        etag: thumbnail.etag.clone(),
    }
}

fn time(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms / 1000).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use common::job::outcome::{FailureReason, ItemFailure};
    use url::Url;

    use super::*;

    fn listing() -> Listing {
        let id = |number: u32| format!("video{number:06}").parse().unwrap();
        let subscribers = Some(Count { value: 8_840, approximate: true, step: 10 });
        Listing {
            channel: Some(Channel {
                id: "UCTwECeGqMZee77BjdoYtI2Q".parse().unwrap(),
                title: "One".to_owned(),
                subscribers,
            }),
            videos: vec![
                Video { title: Some("A".to_owned()), views: Some(Count::exact(7)), ..Video::named(id(1)) },
                Video::named(id(2)),
                Video::named(id(3)),
            ],
            listed_ms: 1_764_000_000_123,
            skipped: [("live".to_owned(), 2)].into(),
            truncated_reason: None,
        }
    }

    fn stored(kept: bool) -> ThumbnailRecord {
        ThumbnailRecord::Stored(Thumbnail {
            sha256: Digest::of(b"x"),
            bytes: 1,
            etag: Some("\"e\"".to_owned()),
            variant: "sd".to_owned(),
            width: 640,
            height: 356,
            crop: Some([0, 64, 640, 356]),
            kept,
        })
    }

    #[tokio::test]
    async fn rows_say_what_is_known_and_are_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(&Url::from_directory_path(folder.path()).unwrap()).unwrap();
        let listing = listing();
        let failure = ItemFailure::new(FailureReason::Missing, "none");
        let records = HashMap::from([
            ("video000001".to_owned(), stored(false)),
            ("video000002".to_owned(), stored(true)),
            ("video000003".to_owned(), ThumbnailRecord::Skipped(failure)),
        ]);
        let part = Part::of(listing.channel.as_ref(), &[]);
        assert!(part.earlier(&files).await.unwrap().is_empty());
        let written =
            Written { listing: &listing, records: &records, category: Some("Fitness"), source: Source::Api };
        let crawled = part.write(&files, written).await.unwrap();
        assert_eq!((crawled.videos, crawled.thumbnails, crawled.kept), (3, 2, 1));
        assert_eq!(crawled.skipped, [("live".to_owned(), 2), ("thumbnail missing".to_owned(), 1)].into());

        let text =
            std::fs::read_to_string(folder.path().join("metadata/UCTwECeGqMZee77BjdoYtI2Q.jsonl")).unwrap();
        let rows: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0]["views"], 7);
        assert_eq!(
            (&rows[0]["subscribers"], &rows[0]["subscribers_approximate"]),
            (&8_840.into(), &true.into())
        );
        assert_eq!(rows[0]["crawled_at"], "2025-11-24T16:00:00Z");
        assert!(rows[1].get("views").is_none() && rows[1].get("title").is_none(), "missing is absent");
        let earlier = part.earlier(&files).await.unwrap();
        assert_eq!(earlier.len(), 2);
        assert_eq!(ThumbnailRecord::Stored(earlier["video000001"].clone()), stored(true));
    }

    #[test]
    fn a_slice_is_named_after_its_videos() {
        let named = |ids: &[&str]| Part::of(None, &ids.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(named(&["a", "b"]), named(&["a", "b"]));
        assert_ne!(named(&["a", "b"]), named(&["ab"]));
    }
}
