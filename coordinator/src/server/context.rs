//! What the operations and the background work of the coordinator share.
//!
//! Owns the connections and the limits, made once by `serve`; holds no state of its own.

use std::sync::Arc;

use common::{
    broker::Publisher,
    config::Settings,
    ids::InstanceId,
    store::{Notifier, Store},
};
use dataset::files::roots::DatasetRoots;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

/// The coordinator's connections, limits and background work. Clones share them.
#[derive(Clone)]
pub(crate) struct Context {
    /// This life of the process.
    pub(crate) instance: InstanceId,
    pub(crate) settings: Arc<Settings>,
    pub(crate) store: Store,
    pub(crate) publisher: Publisher,
    pub(crate) notifier: Notifier,
    /// Folders that datasets may be read from and written to.
    pub(crate) roots: Arc<DatasetRoots>,
    /// The folder of manifests and of what runs leave.
    pub(crate) artifacts: Url,
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
