//! What every part of the coordinator works with.
//!
//! Owns the connections and the limits, made once by [`crate::server::serve`]; holds no state of its own.

use std::sync::Arc;

use common::{
    broker::Publisher,
    byte_budget::ByteBudget,
    config::Settings,
    ids::BootId,
    store::{Doorbells, Store},
};
use dataset::roots::DatasetRoots;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use super::{fetch::Fetcher, similarity::Similar};

/// The coordinator's connections, limits and background work. Clones share them.
#[derive(Clone)]
pub(crate) struct Context {
    /// This life of the process.
    pub(crate) boot: BootId,
    pub(crate) settings: Arc<Settings>,
    pub(crate) store: Store,
    pub(crate) publisher: Publisher,
    pub(crate) doorbells: Doorbells,
    /// Folders that datasets may lie in.
    pub(crate) roots: Arc<DatasetRoots>,
    /// Where manifests are written.
    pub(crate) artifacts: Url,
    /// Fetches images by URL.
    pub(crate) fetcher: Arc<Fetcher>,
    /// Memory for images on their way into the store.
    pub(crate) uploads: ByteBudget,
    /// Finds similar images.
    pub(crate) similar: Arc<Similar>,
    /// Cancelled when the coordinator is to end.
    pub(crate) stop: CancellationToken,
    /// Background work that ends with `stop`.
    pub(crate) tracker: TaskTracker,
}

impl Context {
    /// The context of what is driven under one lease: its writes carry `token`, and it ends with `stop`.
    pub(crate) fn leading(&self, token: u64, stop: CancellationToken) -> Self {
        Self { store: self.store.with_token(token), stop, ..self.clone() }
    }
}
