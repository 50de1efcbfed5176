//! `/v1/dead-letters`.

use std::sync::Arc;

use axum::{
    Json as JsonBody,
    extract::{Path, State},
};

use super::{
    extract::{Json, Params},
    problem::Failure,
};
use crate::{
    api::{DeadLetterOutcome, DeadLetterParams, DeadLetterSelection, DeadLetterView, Page},
    server::{
        context::Context,
        dead_letters::{self, Action},
    },
};

pub(super) async fn list(
    State(context): State<Arc<Context>>,
    Params(params): Params<DeadLetterParams>,
) -> Result<JsonBody<Page<DeadLetterView>>, Failure> {
    let (filter, paging) = params.into_parts();
    Ok(JsonBody(dead_letters::list(&context, filter, paging.cursor(), paging.limit()).await?))
}

pub(super) async fn get(
    State(context): State<Arc<Context>>,
    Path(id): Path<String>,
) -> Result<JsonBody<DeadLetterView>, Failure> {
    Ok(JsonBody(dead_letters::get(&context, &id).await?))
}

pub(super) async fn requeue(
    State(context): State<Arc<Context>>,
    Json(selection, _memory): Json<DeadLetterSelection>,
) -> Result<JsonBody<DeadLetterOutcome>, Failure> {
    Ok(JsonBody(dead_letters::process(&context, Action::Requeue, selection).await?))
}

pub(super) async fn purge(
    State(context): State<Arc<Context>>,
    Json(selection, _memory): Json<DeadLetterSelection>,
) -> Result<JsonBody<DeadLetterOutcome>, Failure> {
    Ok(JsonBody(dead_letters::process(&context, Action::Purge, selection).await?))
}
