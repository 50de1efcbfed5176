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
    api::{
        HeadView, Page, PageParams, Paging, RunParams, RunRequest, RunView, SampleView, TestPredictionView,
        routes,
    },
    server::{
        context::Context,
        lookup,
        runs::{self, ResolvedRun},
        training,
    },
};

pub(super) async fn create(
    State(context): State<Arc<Context>>,
    CallerHeaders(caller): CallerHeaders,
    Json(request, _memory): Json<RunRequest>,
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
    Params(RunParams { target }): Params<RunParams>,
) -> Result<JsonBody<RunView>, Failure> {
    if !["latest", "best"].contains(&name.as_str()) {
        return Ok(JsonBody(runs::get(&context, lookup::id(&context, &name).await?).await?));
    }
    let ResolvedRun { run, chosen } = runs::by_name(&context, &name, target).await?;
    Ok(JsonBody(RunView { chosen, ..runs::get(&context, run).await? }))
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
