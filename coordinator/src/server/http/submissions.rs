//! `/v1/submissions`.

use axum::{
    Json as JsonBody,
    extract::State,
    http::{StatusCode, header::LOCATION},
    response::IntoResponse,
};
use serde::Deserialize;

use super::problem::{Failure, Id, Idempotency, Json, Params};
use crate::{
    api::{EmbeddingView, ItemView, JobView, Page, SubmissionRequest, SubmissionView},
    server::service::Coordinator,
};

/// Entries of a page where nothing else is asked for, and at most.
const PAGE: usize = 20;
const PAGE_AT_MOST: usize = 100;

/// How a list is paged.
#[derive(Deserialize)]
pub(super) struct Paging {
    cursor: Option<String>,
    limit: Option<usize>,
}

impl Paging {
    pub(super) fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(PAGE).clamp(1, PAGE_AT_MOST)
    }
}

/// Which results are wanted.
#[derive(Deserialize)]
pub(super) struct ResultsParams {
    cursor: Option<String>,
    #[serde(default)]
    failed: bool,
}

pub(super) async fn create(
    State(coordinator): State<Coordinator>,
    Idempotency(key): Idempotency,
    Json(request): Json<SubmissionRequest>,
) -> Result<impl IntoResponse, Failure> {
    let view = coordinator.submit(request, key.as_ref()).await?;
    let location = format!("/v1/submissions/{}", view.submission);
    Ok((StatusCode::ACCEPTED, [(LOCATION, location)], JsonBody(view)))
}

pub(super) async fn list(
    State(coordinator): State<Coordinator>,
    Params(paging): Params<Paging>,
) -> Result<JsonBody<Page<SubmissionView>>, Failure> {
    Ok(JsonBody(coordinator.submissions(paging.cursor(), paging.limit()).await?))
}

pub(super) async fn get(
    State(coordinator): State<Coordinator>,
    Id(id): Id,
) -> Result<JsonBody<SubmissionView>, Failure> {
    Ok(JsonBody(coordinator.submission(id).await?))
}

pub(super) async fn results(
    State(coordinator): State<Coordinator>,
    Id(id): Id,
    Params(params): Params<ResultsParams>,
) -> Result<JsonBody<Page<ItemView>>, Failure> {
    Ok(JsonBody(coordinator.results(id, params.cursor.as_deref(), params.failed).await?))
}

/// Which embeddings are wanted.
#[derive(Deserialize)]
pub(super) struct EmbeddingsParams {
    cursor: Option<String>,
    space: Option<String>,
}

pub(super) async fn embeddings(
    State(coordinator): State<Coordinator>,
    Id(id): Id,
    Params(params): Params<EmbeddingsParams>,
) -> Result<JsonBody<Page<EmbeddingView>>, Failure> {
    Ok(JsonBody(coordinator.embeddings(id, params.cursor.as_deref(), params.space).await?))
}

pub(super) async fn jobs(
    State(coordinator): State<Coordinator>,
    Id(id): Id,
    Params(paging): Params<Paging>,
) -> Result<JsonBody<Page<JobView>>, Failure> {
    Ok(JsonBody(coordinator.jobs(id, paging.cursor()).await?))
}

pub(super) async fn cancel(
    State(coordinator): State<Coordinator>,
    Id(id): Id,
) -> Result<JsonBody<SubmissionView>, Failure> {
    Ok(JsonBody(coordinator.cancel(id).await?))
}
