//! Writes the metadata part of one crawl job: the rows of one channel or one chunk of a list.
//!
//! Owns the columns and the name of the part. The name depends on the channel or the list, not on the job, so a
//! repeated crawl replaces its rows. The coordinator puts them into `metadata.jsonl` (see [`dataset::metadata`]).
//! Invariants: a row's file exists in the dataset; unknown values are absent, never zero; the same listing and records
//! produce the same bytes.

use std::collections::HashMap;

use bytes::Bytes;
use common::{
    digest::Digest,
    job::{
        crawl::Source,
        outcome::{Crawled, FailureReason},
    },
    store::{Thumbnail, ThumbnailRecord},
};
use dataset::{
    files::{Files, ReadError},
    metadata::{self, Foreign, MergeError},
    row::Row,
};
use jiff::Timestamp;

use crate::{
    error::CrawlError,
    listing::{Channel, Listing, Video},
    youtube::{counts::Count, ids::VideoId},
};

/// Largest existing part that is read.
const MAX_PART_BYTES: u64 = 64 << 20;

/// Path of a video's thumbnail, relative to the dataset.
pub(crate) fn file_name(video: &VideoId) -> String {
    format!("thumbnails/{video}.jpg")
}

/// The metadata part of one channel or one chunk of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    name: String,
}

pub(crate) struct PartContents<'a> {
    pub(crate) listing: &'a Listing,
    /// By video ID.
    pub(crate) records: &'a HashMap<String, ThumbnailRecord>,
    pub(crate) category: Option<&'a str>,
    pub(crate) source: Source,
}

impl Part {
    /// The part of a channel or, without one, of a chunk of a list. All requested `videos` count for the name, also
    /// those that get no row.
    #[must_use]
    pub(crate) fn new(channel: Option<&Channel>, videos: &[String]) -> Self {
        let name = match channel {
            Some(channel) => channel.id.to_string(),
            None => format!("list-{}", Digest::of(videos.join("\n").as_bytes()).prefix(32)),
        };
        Self { name }
    }

    /// Returns the thumbnails that an earlier crawl stored, by video ID. Unreadable rows are ignored: they will be
    /// replaced.
    pub(crate) async fn stored_thumbnails(
        &self,
        files: &Files,
    ) -> Result<HashMap<String, Thumbnail>, ReadError> {
        let Some(bytes) = self.stored_rows(files).await? else { return Ok(HashMap::new()) };
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
                unchanged: true,
            };
            Some((row.video_id?, thumbnail))
        };
        Ok(rows.filter_map(thumbnail).collect())
    }

    /// Returns the rows that an earlier crawl wrote, also where an earlier version wrote them.
    async fn stored_rows(&self, files: &Files) -> Result<Option<Bytes>, ReadError> {
        for file in [metadata::part_file(&self.name), metadata::legacy_file(&self.name)] {
            match files.read(&file, MAX_PART_BYTES).await {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(error) if error.is_retryable() => return Err(error),
                Err(_) => {}
            }
        }
        Ok(None)
    }

    /// Writes the rows and returns the item's result.
    pub(crate) async fn write(
        &self,
        files: &Files,
        contents: PartContents<'_>,
    ) -> Result<Crawled, ReadError> {
        let PartContents { listing, records, .. } = contents;
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
                    crawled.unchanged += u64::from(thumbnail.unchanged);
                    let row = Row { part: Some(self.name.clone()), ..row(&contents, video, thumbnail) };
                    serde_json::to_writer(&mut rows, &row).expect("a row is plain data");
                    rows.push(b'\n');
                }
                Some(ThumbnailRecord::Skipped(failure)) => {
                    *crawled.skipped.entry(format!("thumbnail {}", failure.reason)).or_default() += 1;
                }
                None => {}
            }
        }
        files.write(&metadata::part_file(&self.name), Bytes::from(rows)).await?;
        Ok(crawled)
    }
}

/// Returns the thumbnails of `videos` that exist and that no crawl wrote, by file name, except those `stored` by an
/// earlier crawl of their part.
///
/// # Errors
/// When the storage fails, or `metadata.jsonl` cannot be read.
pub(crate) async fn foreign_thumbnails(
    files: &Files,
    stored: &HashMap<String, Thumbnail>,
    videos: &[Video],
) -> Result<HashMap<String, Foreign>, CrawlError> {
    let new = videos.iter().filter(|video| !stored.contains_key(video.id.as_str()));
    let names = new.map(|video| file_name(&video.id)).collect();
    metadata::foreign_images(files, names).await.map_err(|error| unreadable(&error))
}

fn unreadable(error: &MergeError) -> CrawlError {
    if error.is_retryable() {
        CrawlError::Storage(error.to_string())
    } else {
        CrawlError::item(FailureReason::Refused, error.to_string())
    }
}

fn row(contents: &PartContents<'_>, video: &Video, thumbnail: &Thumbnail) -> Row {
    let channel = video.channel.as_ref().or(contents.listing.channel.as_ref());
    let subscribers = channel.and_then(|channel| channel.subscribers);
    let value = |count: Option<Count>| count.map(|count| count.value);
    let is_approximate = |count: Option<Count>| count.map(|count| count.approximate);
    Row {
        file_name: file_name(&video.id),
        video_id: Some(video.id.to_string()),
        title: video.title.clone(),
        channel_id: channel.map(|channel| channel.id.to_string()),
        channel: channel.map(|channel| channel.title.clone()).filter(|title| !title.is_empty()),
        category: contents.category.map(str::to_owned),
        subscribers: value(subscribers),
        subscribers_approximate: is_approximate(subscribers),
        views: value(video.views),
        views_approximate: is_approximate(video.views),
        published: video.published.clone(),
        published_text: video.published_text.clone(),
        crawled_at: Some(rfc3339(contents.listing.listed_ms)),
        source: Some(contents.source.name().to_owned()),
        thumbnail_variant: Some(thumbnail.variant.clone()),
        thumbnail_width: Some(thumbnail.width),
        thumbnail_height: Some(thumbnail.height),
        thumbnail_crop: Some(thumbnail.crop),
        bytes: Some(thumbnail.bytes),
        sha256: Some(thumbnail.sha256),
        etag: thumbnail.etag.clone(),
        part: None,
    }
}

fn rfc3339(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms / 1000).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use common::job::outcome::ItemFailure;
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
                Video { title: Some("A".to_owned()), views: Some(Count::exact(7)), ..Video::with_id(id(1)) },
                Video::with_id(id(2)),
                Video::with_id(id(3)),
            ],
            listed_ms: 1_764_000_000_123,
            skipped: [("live".to_owned(), 2)].into(),
            truncated_reason: None,
            foreign: None,
        }
    }

    fn stored(unchanged: bool) -> ThumbnailRecord {
        ThumbnailRecord::Stored(Thumbnail {
            sha256: Digest::of(b"x"),
            bytes: 1,
            etag: Some("\"e\"".to_owned()),
            variant: "sd".to_owned(),
            width: 640,
            height: 356,
            crop: Some([0, 64, 640, 356]),
            unchanged,
        })
    }

    #[tokio::test]
    async fn rows_omit_unknown_values_and_can_be_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(&Url::from_directory_path(folder.path()).unwrap()).unwrap();
        let listing = listing();
        let failure = ItemFailure::new(FailureReason::Missing, "none");
        let records = HashMap::from([
            ("video000001".to_owned(), stored(false)),
            ("video000002".to_owned(), stored(true)),
            ("video000003".to_owned(), ThumbnailRecord::Skipped(failure)),
        ]);
        let part = Part::new(listing.channel.as_ref(), &[]);
        assert!(part.stored_thumbnails(&files).await.unwrap().is_empty());
        let contents = PartContents {
            listing: &listing,
            records: &records,
            category: Some("Fitness"),
            source: Source::Api,
        };
        let crawled = part.write(&files, contents).await.unwrap();
        assert_eq!((crawled.videos, crawled.thumbnails, crawled.unchanged), (3, 2, 1));
        assert_eq!(crawled.skipped, [("live".to_owned(), 2), ("thumbnail missing".to_owned(), 1)].into());

        let text =
            std::fs::read_to_string(folder.path().join(".subwatch/parts/UCTwECeGqMZee77BjdoYtI2Q.jsonl"))
                .unwrap();
        let rows: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0]["views"], 7);
        assert_eq!(
            (&rows[0]["subscribers"], &rows[0]["subscribers_approximate"]),
            (&8_840.into(), &true.into())
        );
        assert_eq!(rows[0]["crawled_at"], "2025-11-24T16:00:00Z");
        assert_eq!(rows[0]["part"], "UCTwECeGqMZee77BjdoYtI2Q");
        assert!(
            rows[1].get("views").is_none() && rows[1].get("title").is_none(),
            "unknown values are absent"
        );
        let earlier = part.stored_thumbnails(&files).await.unwrap();
        assert_eq!(earlier.len(), 2);
        assert_eq!(ThumbnailRecord::Stored(earlier["video000001"].clone()), stored(true));
    }

    #[test]
    fn part_of_a_list_is_named_by_its_videos() {
        let named = |ids: &[&str]| Part::new(None, &ids.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(named(&["a", "b"]), named(&["a", "b"]));
        assert_ne!(named(&["a", "b"]), named(&["ab"]));
    }
}
