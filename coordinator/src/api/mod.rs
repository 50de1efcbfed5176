//! The words of the HTTP API: what requests and answers hold, in JSON.
//!
//! Shared by the server (`server::http`) and the command line ([`crate::cli`]), which is its client. Owns the shapes,
//! which grow additively, and the table of [`routes`]. Query, body and answer of a route are in the file of its area:
//! `submissions` (with images and items), `crawl` (the request of one), `jobs`, `runs`, `dead_letters`, `similarity`,
//! and `system` (workers, status, spaces, doctor). `paging` is what all lists share, and `access` the scopes of tokens.

mod access;
mod crawl;
mod dead_letters;
mod jobs;
mod paging;
pub mod routes;
mod runs;
mod similarity;
mod submissions;
mod system;

use serde::{Deserialize, Serialize};

pub use self::{
    access::Scope,
    crawl::{CrawlChannel, CrawlRequest},
    dead_letters::{DeadFilter, DeadOutcome, DeadParams, DeadSelection, DeadView, Refused},
    jobs::{JobStage, JobView, MishapView, PauseView},
    paging::{Page, Paging},
    runs::{
        EpochReport, HeadView, LeftOut, RawReport, RunRequest, RunView, SampleView, SplitCounts, TestReport,
        TestedView,
    },
    similarity::{NeighbourView, SimilarParams, SimilarView},
    submissions::{
        EmbeddingView, EmbeddingsParams, FetchRequest, ItemState, ItemView, ResultsParams, StoredImage,
        SubmissionRequest, SubmissionView, UploadedImage,
    },
    system::{
        DoctorCheck, DoctorView, DropParams, PausedSourceView, QueueView, QuotaView, SpaceView, StatusView,
        Verdict, WorkerView, WorkersView,
    },
};

pub(crate) use self::runs::number_or_null;

/// Header of a request to submit: sent again under the same key, it is the same submission
/// (draft-ietf-httpapi-idempotency-key-header).
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

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
