//! `/v1/dead-letters`.

use std::sync::Arc;

use axum::{
    Json as JsonBody,
    extract::{Path, State},
};
use serde::Deserialize;

use super::{
    extract::{Json, Params},
    problem::Failure,
};
use crate::{
    api::{DeadLetterFilter, DeadLetterOutcome, DeadLetterSelection, DeadLetterView, Page},
    server::{
        context::Context,
        dead_letters::{self, Action},
    },
};

/// Letters of a page where nothing else is asked for, and at most.
const PAGE: usize = 20;
const PAGE_AT_MOST: usize = 100;

/// Which letters are wanted.
#[derive(Deserialize)]
pub(super) struct DeadLetterParams {
    kind: Option<String>,
    reason: Option<String>,
    submission: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn list(
    State(context): State<Arc<Context>>,
    Params(params): Params<DeadLetterParams>,
) -> Result<JsonBody<Page<DeadLetterView>>, Failure> {
    let DeadLetterParams { kind, reason, submission, cursor, limit } = params;
    let filter = DeadLetterFilter { kind, reason, submission };
    let limit = limit.unwrap_or(PAGE).clamp(1, PAGE_AT_MOST);
    Ok(JsonBody(dead_letters::list(&context, &filter, cursor.as_deref(), limit).await?))
}

pub(super) async fn get(
    State(context): State<Arc<Context>>,
    Path(id): Path<String>,
) -> Result<JsonBody<DeadLetterView>, Failure> {
    Ok(JsonBody(dead_letters::get(&context, &id).await?))
}

pub(super) async fn requeue(
    State(context): State<Arc<Context>>,
    Json(selection): Json<DeadLetterSelection>,
) -> Result<JsonBody<DeadLetterOutcome>, Failure> {
    Ok(JsonBody(dead_letters::process(&context, Action::Requeue, selection).await?))
}

pub(super) async fn purge(
    State(context): State<Arc<Context>>,
    Json(selection): Json<DeadLetterSelection>,
) -> Result<JsonBody<DeadLetterOutcome>, Failure> {
    Ok(JsonBody(dead_letters::process(&context, Action::Purge, selection).await?))
}
