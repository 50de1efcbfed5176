//! `/v1/runs`.

use std::sync::Arc;

use axum::{
    Json as JsonBody,
    extract::{Path, State},
    http::StatusCode,
    response::IntoResponse,
};

use super::{
    extract::{CallerHeaders, Id, Json, Params, location},
    problem::Failure,
};
use crate::{
    api::{HeadView, Page, Paging, RunRequest, RunView, SampleView, TestPredictionView, routes},
    server::{context::Context, runs, training},
};

pub(super) async fn create(
    State(context): State<Arc<Context>>,
    CallerHeaders(caller): CallerHeaders,
    Json(request): Json<RunRequest>,
) -> Result<impl IntoResponse, Failure> {
    let view = training::submit(&context, request, &caller).await?;
    Ok((StatusCode::ACCEPTED, location(routes::RUN, view.run), JsonBody(view)))
}

pub(super) async fn list(
    State(context): State<Arc<Context>>,
    Params(paging): Params<Paging>,
) -> Result<JsonBody<Page<RunView>>, Failure> {
    Ok(JsonBody(runs::list(&context, paging.cursor(), paging.limit()).await?))
}

/// Returns a run by ID, `latest` or `best`.
pub(super) async fn get(
    State(context): State<Arc<Context>>,
    Path(name): Path<String>,
) -> Result<JsonBody<RunView>, Failure> {
    let id = match name.parse() {
        Ok(id) => id,
        Err(_) => runs::resolve(&context, &name).await?,
    };
    Ok(JsonBody(runs::get(&context, id).await?))
}

pub(super) async fn resume(
    State(context): State<Arc<Context>>,
    Id(id): Id,
) -> Result<JsonBody<RunView>, Failure> {
    Ok(JsonBody(training::resume(&context, id).await?))
}

pub(super) async fn split(
    State(context): State<Arc<Context>>,
    Id(id): Id,
    Params(paging): Params<Paging>,
) -> Result<JsonBody<Page<SampleView>>, Failure> {
    Ok(JsonBody(training::samples(&context, id, paging.cursor()).await?))
}

pub(super) async fn predictions(
    State(context): State<Arc<Context>>,
    Id(id): Id,
    Params(paging): Params<Paging>,
) -> Result<JsonBody<Page<TestPredictionView>>, Failure> {
    Ok(JsonBody(training::test_predictions(&context, id, paging.cursor()).await?))
}

pub(super) async fn head(
    State(context): State<Arc<Context>>,
    Id(id): Id,
) -> Result<JsonBody<HeadView>, Failure> {
    Ok(JsonBody(training::head(&context, id).await?))
}
