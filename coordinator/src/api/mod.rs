//! The words of the HTTP API: what requests and answers hold, in JSON.
//!
//! Shared by the server (`server::http`) and the command line ([`crate::cli`]), which is its client.
//! Owns the shapes, which grow additively, and the table of [`routes`].

mod access;
mod crawl;
mod dead_letters;
mod jobs;
pub mod routes;
mod runs;
mod similarity;
mod submissions;
mod system;

use serde::{Deserialize, Serialize};

pub use self::{
    access::Scope,
    crawl::{CrawlChannel, CrawlRequest},
    dead_letters::{DeadLetterFilter, DeadLetterOutcome, DeadLetterSelection, DeadLetterView, Refused},
    jobs::{AttemptErrorView, JobStage, JobView, SnoozeView},
    runs::{
        EpochReport, HeadView, RawReport, RunRequest, RunView, SampleView, Skipped, SplitCounts, TestReport,
        TestedView,
    },
    similarity::{NeighbourView, SimilarView},
    submissions::{
        EmbeddingView, FetchRequest, ItemState, ItemView, StoredImage, SubmissionRequest, SubmissionView,
        UploadedImage,
    },
    system::{
        DoctorCheck, DoctorView, HostBackoffView, QueueView, QuotaView, SpaceView, StatusView, Verdict,
        WorkerView, WorkersView,
    },
};

pub(crate) use self::runs::number_or_null;

/// A page of a list.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Give it as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An RFC 9457 problem.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// A word for the class of problem, as a relative URI.
    #[serde(rename = "type")]
    pub kind: String,
    /// The class in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What exactly was wrong.
    pub detail: String,
}
