//! The connections and settings that requests and background tasks share.
//!
//! `serve` makes the context once. It has no mutable state of its own.

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

use super::{feeding::Feeder, tokens::TokenFile};

/// The coordinator's connections, settings and background tasks. Clones share them.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) instance: InstanceId,
    pub(crate) settings: Arc<Settings>,
    pub(crate) store: Store,
    pub(crate) publisher: Publisher,
    pub(crate) notifier: Notifier,
    /// Divides the queues among the submissions, while this coordinator is the leader.
    pub(crate) feeder: Feeder,
    /// The access tokens; `None` if the API needs none.
    pub(crate) tokens: Option<Arc<TokenFile>>,
    /// Folders that datasets may be read from and written to.
    pub(crate) roots: Arc<DatasetRoots>,
    /// The folder of manifests and run artifacts.
    pub(crate) artifacts: Url,
    /// Cancelled when the coordinator or, after [`Context::leading`], its leadership ends.
    pub(crate) stop: CancellationToken,
    /// Background tasks that end with `stop`.
    pub(crate) tracker: TaskTracker,
}

impl Context {
    /// Returns the context of a leader's tasks: store writes carry the fencing token `token`, and `stop` ends the
    /// tasks.
    pub(crate) fn leading(&self, token: u64, stop: CancellationToken) -> Self {
        Self { store: self.store.with_token(token), stop, ..self.clone() }
    }
}
