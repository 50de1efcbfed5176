//! JSON types of the HTTP API, shared by the server (`server::http`) and its client ([`crate::cli`]).
//!
//! Owns these types, which change only by added fields, and the table of [`routes`]. Times named `*_ms` are Unix
//! milliseconds.
//!
//! Query, body and response of a route are in the file of its area: `submissions` (with images and items), `crawl`,
//! `jobs`, `runs`, `dead_letters`, `similarity`, `spaces` (their embeddings), and `system` (workers, status, lists of
//! spaces, doctor). `paging` is shared by all lists; `access` has the scopes of tokens.

mod access;
mod crawl;
mod dead_letters;
mod jobs;
mod paging;
pub mod routes;
mod runs;
mod similarity;
mod spaces;
mod submissions;
mod system;

use serde::{Deserialize, Serialize};

pub use self::{
    access::Scope,
    crawl::{CrawlChannel, CrawlRequest},
    dead_letters::{
        DeadLetterFilter, DeadLetterOutcome, DeadLetterParams, DeadLetterSelection, DeadLetterView, Refused,
    },
    jobs::{AttemptErrorView, JobStage, JobView, SnoozeView},
    paging::{Page, PageParams, Paging},
    runs::{
        EpochReport, Grouping, HeadView, RawReport, RunParams, RunRequest, RunView, SampleView, Skipped,
        SplitCounts, TestPredictionView, TestReport,
    },
    similarity::{ImageName, NeighbourView, SimilarParams, SimilarView},
    spaces::{AddEmbeddings, AddedEmbeddings, RawEmbedding},
    submissions::{
        DeleteParams, DeletedSubmissions, DroppedUploads, EmbeddingView, EmbeddingsParams, FetchRequest,
        ItemState, ItemView, OutputRequest, OutputView, ResultsParams, StoredImage, SubmissionRequest,
        SubmissionView, UploadedImage,
    },
    system::{
        CheckStatus, DoctorCheck, DoctorView, DropParams, HostBackoffView, QueueView, QuotaView, SpaceView,
        StageView, StatusView, WorkerView, WorkersView,
    },
};

pub(crate) use self::runs::number_or_null;

/// Header of submit requests: repeating a request with the same key returns the first submission
/// (draft-ietf-httpapi-idempotency-key-header).
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// RFC 9457 problem details.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// The problem type, as a relative URI.
    #[serde(rename = "type")]
    pub kind: String,
    /// The problem type as text; the same for each problem of a type.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened in this request.
    pub detail: String,
}
