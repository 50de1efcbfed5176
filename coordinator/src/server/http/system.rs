//! `/v1/workers`, `/v1/status`, `/v1/spaces`, `/v1/doctor` and the probes.

use axum::{
    Json,
    extract::{Path, State},
};
use common::store::PausedSource;
use serde::Deserialize;

use super::problem::{Failure, Params};
use crate::{
    api::{DoctorView, SpaceView, StatusView, WorkersView},
    server::service::Coordinator,
};

pub(super) async fn workers(State(coordinator): State<Coordinator>) -> Result<Json<WorkersView>, Failure> {
    Ok(Json(coordinator.workers().await?))
}

pub(super) async fn status(State(coordinator): State<Coordinator>) -> Result<Json<StatusView>, Failure> {
    Ok(Json(coordinator.status().await?))
}

pub(super) async fn spaces(State(coordinator): State<Coordinator>) -> Result<Json<Vec<SpaceView>>, Failure> {
    Ok(Json(coordinator.spaces().await?))
}

pub(super) async fn resume_source(
    State(coordinator): State<Coordinator>,
    Path(host): Path<String>,
) -> Result<Json<PausedSource>, Failure> {
    Ok(Json(coordinator.resume_source(&host).await?))
}

/// Whether a space may be dropped while workers embed into it.
#[derive(Deserialize)]
pub(super) struct DropParams {
    #[serde(default)]
    force: bool,
}

pub(super) async fn drop_space(
    State(coordinator): State<Coordinator>,
    Path(name): Path<String>,
    Params(params): Params<DropParams>,
) -> Result<Json<SpaceView>, Failure> {
    Ok(Json(coordinator.drop_space(&name, params.force).await?))
}

pub(super) async fn doctor(State(coordinator): State<Coordinator>) -> Result<Json<DoctorView>, Failure> {
    Ok(Json(coordinator.doctor().await?))
}

/// The process lives.
pub(super) async fn healthy() -> &'static str {
    "ok\n"
}

/// Broker and store serve.
pub(super) async fn ready(State(coordinator): State<Coordinator>) -> Result<&'static str, Failure> {
    coordinator.ready().await?;
    Ok("ready\n")
}
