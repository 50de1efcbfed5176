//! `/v1/similar`.

use axum::{Json, extract::State};
use common::digest::Digest;
use serde::Deserialize;

use super::problem::{Failure, Params};
use crate::{api::SimilarView, server::service::Coordinator};

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

pub(super) async fn similar(
    State(coordinator): State<Coordinator>,
    Params(params): Params<SimilarParams>,
) -> Result<Json<SimilarView>, Failure> {
    let SimilarParams { sha256, video_id, space, k } = params;
    let view = coordinator.similar(sha256, video_id.as_deref(), space, k.unwrap_or(NEIGHBOURS)).await?;
    Ok(Json(view))
}
