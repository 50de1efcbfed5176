//! `/v1/dead`.

use axum::{
    Json as JsonBody,
    extract::{Path, State},
};
use serde::Deserialize;

use super::problem::{Failure, Json, Params};
use crate::{
    api::{DeadFilter, DeadOutcome, DeadSelection, DeadView, Page},
    server::service::{Coordinator, DeadAction},
};

/// Letters of a page where nothing else is asked for, and at most.
const PAGE: usize = 20;
const PAGE_AT_MOST: usize = 100;

/// Which letters are wanted.
#[derive(Deserialize)]
pub(super) struct DeadParams {
    kind: Option<String>,
    reason: Option<String>,
    submission: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn list(
    State(coordinator): State<Coordinator>,
    Params(params): Params<DeadParams>,
) -> Result<JsonBody<Page<DeadView>>, Failure> {
    let DeadParams { kind, reason, submission, cursor, limit } = params;
    let filter = DeadFilter { kind, reason, submission };
    let limit = limit.unwrap_or(PAGE).clamp(1, PAGE_AT_MOST);
    Ok(JsonBody(coordinator.dead(&filter, cursor.as_deref(), limit).await?))
}

pub(super) async fn get(
    State(coordinator): State<Coordinator>,
    Path(id): Path<String>,
) -> Result<JsonBody<DeadView>, Failure> {
    Ok(JsonBody(coordinator.dead_letter(&id).await?))
}

pub(super) async fn requeue(
    State(coordinator): State<Coordinator>,
    Json(selection): Json<DeadSelection>,
) -> Result<JsonBody<DeadOutcome>, Failure> {
    Ok(JsonBody(coordinator.settle_dead(DeadAction::Requeue, selection).await?))
}

pub(super) async fn purge(
    State(coordinator): State<Coordinator>,
    Json(selection): Json<DeadSelection>,
) -> Result<JsonBody<DeadOutcome>, Failure> {
    Ok(JsonBody(coordinator.settle_dead(DeadAction::Purge, selection).await?))
}
