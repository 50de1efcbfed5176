//! What the handlers work with; each extracts the part that it needs.

use std::sync::Arc;

use axum::extract::FromRef;

use crate::server::{context::Context, similarity::SimilarityIndex, uploads::Uploads};

/// The state of the router. Clones share it.
#[derive(Clone)]
pub(crate) struct ApiState {
    pub(crate) context: Arc<Context>,
    pub(crate) similarity: Arc<SimilarityIndex>,
    pub(crate) uploads: Arc<Uploads>,
}

impl FromRef<ApiState> for Arc<Context> {
    fn from_ref(state: &ApiState) -> Self {
        state.context.clone()
    }
}

impl FromRef<ApiState> for Arc<SimilarityIndex> {
    fn from_ref(state: &ApiState) -> Self {
        state.similarity.clone()
    }
}

impl FromRef<ApiState> for Arc<Uploads> {
    fn from_ref(state: &ApiState) -> Self {
        state.uploads.clone()
    }
}
