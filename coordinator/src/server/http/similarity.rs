//! `/v1/similar`.

use std::sync::Arc;

use axum::{Json, extract::State};

use super::{extract::Params, problem::Failure};
use crate::{
    api::{SimilarParams, SimilarView},
    server::{
        context::Context,
        similarity::{self, Query, SimilarityIndex},
    },
};

pub(super) async fn search(
    State(context): State<Arc<Context>>,
    State(index): State<Arc<SimilarityIndex>>,
    Params(params): Params<SimilarParams>,
) -> Result<Json<SimilarView>, Failure> {
    let SimilarParams { sha256, video_id, space, k } = params;
    let query = Query { sha256, video_id, space, count: k.unwrap_or(SimilarParams::DEFAULT_K) };
    Ok(Json(similarity::search(&context.store, &index, query).await?))
}
