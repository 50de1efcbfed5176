//! `/v1/workers`, `/v1/status` and the probes.

use axum::{Json, extract::State};

use super::problem::Failure;
use crate::{
    api::{StatusView, WorkersView},
    service::Coordinator,
};

pub(super) async fn workers(State(coordinator): State<Coordinator>) -> Result<Json<WorkersView>, Failure> {
    Ok(Json(coordinator.workers().await?))
}

pub(super) async fn status(State(coordinator): State<Coordinator>) -> Result<Json<StatusView>, Failure> {
    Ok(Json(coordinator.status().await?))
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
