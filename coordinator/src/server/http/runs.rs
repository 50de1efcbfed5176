//! `/v1/runs`.

use axum::{
    Json as JsonBody,
    extract::{Path, State},
    http::{StatusCode, header::LOCATION},
    response::IntoResponse,
};

use super::{
    problem::{Failure, Id, Idempotency, Json, Params},
    submissions::Paging,
};
use crate::{
    api::{HeadView, Page, RunRequest, RunView, SampleView, TestedView},
    server::service::Coordinator,
};

pub(super) async fn create(
    State(coordinator): State<Coordinator>,
    Idempotency(key): Idempotency,
    Json(request): Json<RunRequest>,
) -> Result<impl IntoResponse, Failure> {
    let view = coordinator.submit_run(request, key.as_ref()).await?;
    let location = format!("/v1/runs/{}", view.run);
    Ok((StatusCode::ACCEPTED, [(LOCATION, location)], JsonBody(view)))
}

pub(super) async fn list(
    State(coordinator): State<Coordinator>,
    Params(paging): Params<Paging>,
) -> Result<JsonBody<Page<RunView>>, Failure> {
    Ok(JsonBody(coordinator.runs(paging.cursor(), paging.limit()).await?))
}

/// A run by id, `latest` or `best`.
pub(super) async fn get(
    State(coordinator): State<Coordinator>,
    Path(name): Path<String>,
) -> Result<JsonBody<RunView>, Failure> {
    Ok(JsonBody(match name.parse() {
        Ok(id) => coordinator.run(id).await?,
        Err(_) => coordinator.resolve_run(&name).await?,
    }))
}

pub(super) async fn resume(
    State(coordinator): State<Coordinator>,
    Id(id): Id,
) -> Result<JsonBody<RunView>, Failure> {
    Ok(JsonBody(coordinator.resume_run(id).await?))
}

pub(super) async fn split(
    State(coordinator): State<Coordinator>,
    Id(id): Id,
    Params(paging): Params<Paging>,
) -> Result<JsonBody<Page<SampleView>>, Failure> {
    Ok(JsonBody(coordinator.split(id, paging.cursor()).await?))
}

pub(super) async fn predictions(
    State(coordinator): State<Coordinator>,
    Id(id): Id,
    Params(paging): Params<Paging>,
) -> Result<JsonBody<Page<TestedView>>, Failure> {
    Ok(JsonBody(coordinator.tested(id, paging.cursor()).await?))
}

pub(super) async fn head(
    State(coordinator): State<Coordinator>,
    Id(id): Id,
) -> Result<JsonBody<HeadView>, Failure> {
    Ok(JsonBody(coordinator.head(id).await?))
}
