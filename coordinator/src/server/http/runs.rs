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
    api::{HeadView, Page, PageParams, Paging, RunRequest, RunView, SampleView, TestPredictionView, routes},
    server::{context::Context, lookup, runs, training},
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

/// Returns a run: by its ID, or `latest` or `best`.
pub(super) async fn get(
    State(context): State<Arc<Context>>,
    Path(name): Path<String>,
) -> Result<JsonBody<RunView>, Failure> {
    let id = match name.as_str() {
        "latest" | "best" => runs::resolve(&context, &name).await?,
        _ => lookup::id(&context, &name).await?,
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
    Params(params): Params<PageParams>,
) -> Result<JsonBody<Page<SampleView>>, Failure> {
    Ok(JsonBody(training::samples(&context, id, params.cursor.as_deref()).await?))
}

pub(super) async fn predictions(
    State(context): State<Arc<Context>>,
    Id(id): Id,
    Params(params): Params<PageParams>,
) -> Result<JsonBody<Page<TestPredictionView>>, Failure> {
    Ok(JsonBody(training::test_predictions(&context, id, params.cursor.as_deref()).await?))
}

pub(super) async fn head(
    State(context): State<Arc<Context>>,
    Id(id): Id,
) -> Result<JsonBody<HeadView>, Failure> {
    Ok(JsonBody(training::head(&context, id).await?))
}
