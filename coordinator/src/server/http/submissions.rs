//! `/v1/submissions`.

use std::sync::Arc;

use axum::{Json as JsonBody, extract::State, http::StatusCode, response::IntoResponse};

use super::{
    extract::{CallerHeaders, Id, Json, Params, location},
    problem::Failure,
};
use crate::{
    api::{
        DeleteParams, DeletedSubmissions, EmbeddingView, EmbeddingsParams, ItemView, JobView, Page,
        PageParams, Paging, ResultsParams, SubmissionRequest, SubmissionView, routes,
    },
    server::{context::Context, submissions},
};

pub(super) async fn create(
    State(context): State<Arc<Context>>,
    CallerHeaders(caller): CallerHeaders,
    Json(request, _memory): Json<SubmissionRequest>,
) -> Result<impl IntoResponse, Failure> {
    let view = submissions::submit(&context, request, &caller).await?;
    Ok((StatusCode::ACCEPTED, location(routes::SUBMISSION, view.submission), JsonBody(view)))
}

pub(super) async fn list(
    State(context): State<Arc<Context>>,
    Params(paging): Params<Paging>,
) -> Result<JsonBody<Page<SubmissionView>>, Failure> {
    Ok(JsonBody(submissions::list(&context, paging.cursor(), paging.limit()).await?))
}

pub(super) async fn get(
    State(context): State<Arc<Context>>,
    Id(id): Id,
) -> Result<JsonBody<SubmissionView>, Failure> {
    Ok(JsonBody(submissions::get(&context, id).await?))
}

pub(super) async fn results(
    State(context): State<Arc<Context>>,
    Id(id): Id,
    Params(params): Params<ResultsParams>,
) -> Result<JsonBody<Page<ItemView>>, Failure> {
    Ok(JsonBody(submissions::results(&context, id, &params).await?))
}

pub(super) async fn embeddings(
    State(context): State<Arc<Context>>,
    Id(id): Id,
    Params(params): Params<EmbeddingsParams>,
) -> Result<JsonBody<Page<EmbeddingView>>, Failure> {
    Ok(JsonBody(submissions::embeddings(&context, id, params.cursor.as_deref(), params.space).await?))
}

pub(super) async fn jobs(
    State(context): State<Arc<Context>>,
    Id(id): Id,
    Params(params): Params<PageParams>,
) -> Result<JsonBody<Page<JobView>>, Failure> {
    Ok(JsonBody(submissions::jobs(&context, id, params.cursor.as_deref()).await?))
}

pub(super) async fn cancel(
    State(context): State<Arc<Context>>,
    Id(id): Id,
) -> Result<JsonBody<SubmissionView>, Failure> {
    Ok(JsonBody(submissions::cancel(&context, id).await?))
}

pub(super) async fn delete(
    State(context): State<Arc<Context>>,
    Id(id): Id,
) -> Result<JsonBody<DeletedSubmissions>, Failure> {
    Ok(JsonBody(submissions::delete(&context, id).await?))
}

pub(super) async fn delete_all_of(
    State(context): State<Arc<Context>>,
    Params(params): Params<DeleteParams>,
) -> Result<JsonBody<DeletedSubmissions>, Failure> {
    let DeleteParams { submitted_by, cursor } = params;
    Ok(JsonBody(submissions::delete_all_of(&context, &submitted_by, cursor.as_deref()).await?))
}
