//! The coordinator's operations, as the HTTP API calls them.
//!
//! Owns the seam between the transport and the work: typed requests in, views or [`RequestError`]s out.

use std::sync::Arc;

use bytes::Bytes;
use common::ids::SubmissionId;

use crate::api::{
    ItemView, Page, RunRequest, RunView, StatusView, StoredImage, SubmissionRequest, SubmissionView, WorkersView,
};

/// The running coordinator. Clones share it.
#[derive(Clone)]
pub struct Coordinator {
    inner: Arc<()>,
}

/// Why a request is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The request is wrong; the text says what to change. HTTP 422.
    #[error("{0}")]
    Invalid(String),
    /// It asks for something outside what is allowed. HTTP 403.
    #[error("{0}")]
    Forbidden(String),
    /// What it names is not there. HTTP 404.
    #[error("{0}")]
    NotFound(String),
    /// It cannot be served now. HTTP 503.
    #[error("{0}")]
    Unavailable(String),
}

impl Coordinator {
    /// Accepts an embed or predict submission.
    pub async fn submit(&self, request: SubmissionRequest) -> Result<SubmissionView, RequestError>;
    /// Returns a submission.
    pub async fn submission(&self, id: SubmissionId) -> Result<SubmissionView, RequestError>;
    /// Lists submissions (embed and predict), newest first.
    pub async fn submissions(&self, cursor: Option<&str>, limit: usize) -> Result<Page<SubmissionView>, RequestError>;
    /// Returns a page of items with their results, in manifest order.
    pub async fn results(&self, id: SubmissionId, cursor: Option<&str>, failed_only: bool) -> Result<Page<ItemView>, RequestError>;
    /// Accepts a run.
    pub async fn submit_run(&self, request: RunRequest) -> Result<RunView, RequestError>;
    /// Returns a run.
    pub async fn run(&self, id: SubmissionId) -> Result<RunView, RequestError>;
    /// Lists runs, newest first.
    pub async fn runs(&self, cursor: Option<&str>, limit: usize) -> Result<Page<RunView>, RequestError>;
    /// Keeps an uploaded image.
    pub async fn put_image(&self, bytes: Bytes) -> Result<StoredImage, RequestError>;
    /// Returns the workers.
    pub async fn workers(&self) -> Result<WorkersView, RequestError>;
    /// Returns how the whole system stands.
    pub async fn status(&self) -> Result<StatusView, RequestError>;
    /// Checks that broker and store serve.
    pub async fn ready(&self) -> Result<(), RequestError>;
}
