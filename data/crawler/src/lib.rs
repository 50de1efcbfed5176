//! Crawling: how rows of a dataset come to be.
//!
//! [`Crawl`] brings one channel, or one slice of a list of videos, into a dataset: a source in `sources` lists the videos, the
//! best thumbnail of each is downloaded (`thumbnails`), and `metadata_part` writes the part of the dataset's metadata that is
//! about them. Requests go through [`http`], which owns rate limits and `robots.txt`; [`youtube`] reads the answers;
//! what it cannot read is recorded in [`kept`]. [`import`] makes rows of a table that exists already, and `ranking` (a feature
//! that only the command line enables) finds out which channels to crawl.
//!
//! Does not own what a job is, nor how it is retried. Invariants: nothing that is stored is requested again; a part of the
//! dataset is written whole or not at all; an error of the site or the storage costs no row: the crawl waits or is
//! tried again.

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
mod thumbnails;
mod time_slice;
pub mod youtube;

pub use self::{crawl::Crawl, error::CrawlError};

#[cfg(test)]
#[path = "../../../tests/src/real_data.rs"]
pub mod real_data;
