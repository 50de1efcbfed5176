//! `/v1/runs`.

use axum::{
    Json as JsonBody,
    extract::State,
    http::{StatusCode, header::LOCATION},
    response::IntoResponse,
};

use super::{
    problem::{Failure, Id, Json, Params},
    submissions::Paging,
};
use crate::{
    api::{Page, RunRequest, RunView},
    service::Coordinator,
};

pub(super) async fn create(
    State(coordinator): State<Coordinator>,
    Json(request): Json<RunRequest>,
) -> Result<impl IntoResponse, Failure> {
    let view = coordinator.submit_run(request).await?;
    let location = format!("/v1/runs/{}", view.run);
    Ok((StatusCode::ACCEPTED, [(LOCATION, location)], JsonBody(view)))
}

pub(super) async fn list(
    State(coordinator): State<Coordinator>,
    Params(paging): Params<Paging>,
) -> Result<JsonBody<Page<RunView>>, Failure> {
    Ok(JsonBody(coordinator.runs(paging.cursor(), paging.limit()).await?))
}

pub(super) async fn get(
    State(coordinator): State<Coordinator>,
    Id(id): Id,
) -> Result<JsonBody<RunView>, Failure> {
    Ok(JsonBody(coordinator.run(id).await?))
}
