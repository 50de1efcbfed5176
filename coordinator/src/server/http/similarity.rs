//! `/v1/similar`.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::digest::Digest;
use serde::Deserialize;

use super::{extract::Params, problem::Failure};
use crate::{
    api::SimilarView,
    server::{
        context::Context,
        similarity::{self, Query, SimilarityIndex},
    },
};

/// Neighbours where nothing else is asked for.
const NEIGHBOURS: usize = 10;

/// What is asked for: an image by `sha256` or by `video_id`.
#[derive(Deserialize)]
pub(super) struct SimilarParams {
    sha256: Option<Digest>,
    video_id: Option<String>,
    space: Option<String>,
    k: Option<usize>,
}

pub(super) async fn search(
    State(context): State<Arc<Context>>,
    State(index): State<Arc<SimilarityIndex>>,
    Params(params): Params<SimilarParams>,
) -> Result<Json<SimilarView>, Failure> {
    let SimilarParams { sha256, video_id, space, k } = params;
    let query = Query { sha256, video: video_id, space, count: k.unwrap_or(NEIGHBOURS) };
    Ok(Json(similarity::search(&context.store, &index, query).await?))
}
