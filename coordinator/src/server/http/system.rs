//! `/v1/workers`, `/v1/status`, `/v1/spaces`, `/v1/doctor` and the probes.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};

use super::{
    extract::{Json as JsonRequest, Params},
    problem::Failure,
};
use crate::{
    api::{
        AddEmbeddings, AddedEmbeddings, DoctorView, DropParams, HostBackoffView, Page, PageParams,
        RawEmbedding, SpaceView, StatusView, WorkersView,
    },
    server::{context::Context, doctor, host_backoffs, similarity::SimilarityIndex, spaces, status},
};

pub(super) async fn workers(State(context): State<Arc<Context>>) -> Result<Json<WorkersView>, Failure> {
    Ok(Json(status::workers(&context).await?))
}

pub(super) async fn status(State(context): State<Arc<Context>>) -> Result<Json<StatusView>, Failure> {
    Ok(Json(status::status(&context).await?))
}

pub(super) async fn spaces(State(context): State<Arc<Context>>) -> Result<Json<Vec<SpaceView>>, Failure> {
    Ok(Json(spaces::list(&context.store).await?))
}

pub(super) async fn end_backoff(
    State(context): State<Arc<Context>>,
    Path(host): Path<String>,
) -> Result<Json<HostBackoffView>, Failure> {
    Ok(Json(host_backoffs::resume(&context.store, &host).await?))
}

pub(super) async fn drop_space(
    State(context): State<Arc<Context>>,
    State(index): State<Arc<SimilarityIndex>>,
    Path(name): Path<String>,
    Params(params): Params<DropParams>,
) -> Result<Json<SpaceView>, Failure> {
    let dropped = spaces::drop_space(&context, &name, params.force).await?;
    index.clear().await;
    Ok(Json(dropped))
}

pub(super) async fn space_embeddings(
    State(context): State<Arc<Context>>,
    Path(name): Path<String>,
    Params(params): Params<PageParams>,
) -> Result<Json<Page<RawEmbedding>>, Failure> {
    Ok(Json(spaces::embeddings(&context.store, &name, params.cursor.as_deref()).await?))
}

pub(super) async fn add_embeddings(
    State(context): State<Arc<Context>>,
    Path(name): Path<String>,
    JsonRequest(request, _memory): JsonRequest<AddEmbeddings>,
) -> Result<Json<AddedEmbeddings>, Failure> {
    Ok(Json(spaces::add_embeddings(&context.store, &name, request).await?))
}

pub(super) async fn doctor(State(context): State<Arc<Context>>) -> Result<Json<DoctorView>, Failure> {
    Ok(Json(doctor::doctor(&context).await?))
}

/// Liveness probe.
pub(super) async fn healthy() -> &'static str {
    "ok\n"
}

/// Readiness probe.
pub(super) async fn ready(State(context): State<Arc<Context>>) -> Result<&'static str, Failure> {
    doctor::ready(&context).await?;
    Ok("ready\n")
}
