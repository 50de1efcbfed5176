//! Crawls YouTube channels and videos into datasets.
//!
//! [`Crawl`] crawls one channel, or one chunk of a list of videos: a source in `sources` lists the videos,
//! `thumbnails` downloads the best thumbnail of each, and `metadata_part` writes their rows. Requests go through
//! [`http`], which owns rate limits and `robots.txt`. [`youtube`] parses the responses; those it cannot parse are
//! saved by [`recorded_response`]. [`import`] converts existing tables, which [`table`] reads, and `ranking` (a feature that only the
//! command line enables) reads which channels to crawl from a web page.
//!
//! Does not own jobs and retries. Invariants: a stored thumbnail or listing is not requested again; a metadata part
//! is written completely or not at all; errors of the site or the storage lose no rows: the job is snoozed or
//! retried.

mod crawl;
mod error;
pub mod http;
pub mod import;
mod listing;
mod metadata_part;
#[cfg(feature = "ranking")]
pub mod ranking;
pub mod recorded_response;
mod sources;
pub mod table;
mod thumbnails;
mod time_slice;
pub mod youtube;

pub use self::{crawl::Crawl, error::CrawlError};

#[cfg(test)]
#[path = "../../../tests/src/real_data.rs"]
pub mod real_data;
