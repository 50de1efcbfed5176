//! `/v1/workers`, `/v1/status`, `/v1/spaces`, `/v1/doctor` and the probes.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};

use super::{extract::Params, problem::Failure};
use crate::{
    api::{DoctorView, DropParams, PausedSourceView, SpaceView, StatusView, WorkersView},
    server::{context::Context, doctor, paused_hosts, similarity::SimilarityIndex, spaces, status},
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

pub(super) async fn resume_source(
    State(context): State<Arc<Context>>,
    Path(host): Path<String>,
) -> Result<Json<PausedSourceView>, Failure> {
    Ok(Json(paused_hosts::resume(&context.store, &host).await?))
}

pub(super) async fn drop_space(
    State(context): State<Arc<Context>>,
    State(index): State<Arc<SimilarityIndex>>,
    Path(name): Path<String>,
    Params(params): Params<DropParams>,
) -> Result<Json<SpaceView>, Failure> {
    let dropped = spaces::drop_space(&context.store, &name, params.force).await?;
    index.forget().await;
    Ok(Json(dropped))
}

pub(super) async fn doctor(State(context): State<Arc<Context>>) -> Result<Json<DoctorView>, Failure> {
    Ok(Json(doctor::doctor(&context).await?))
}

/// The process lives.
pub(super) async fn healthy() -> &'static str {
    "ok\n"
}

/// Broker and store serve.
pub(super) async fn ready(State(context): State<Arc<Context>>) -> Result<&'static str, Failure> {
    doctor::ready(&context).await?;
    Ok("ready\n")
}
