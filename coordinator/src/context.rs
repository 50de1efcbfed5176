//! What every part of the coordinator works with.
//!
//! Owns the connections and the limits, made once by [`crate::serve`]; holds no state of its own.

use common::{
    broker::Publisher,
    config::Settings,
    store::{Doorbells, Store},
};
use data::roots::DatasetRoots;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use crate::{fetch::Fetcher, similar::Similar};

/// The coordinator's connections, limits and background work.
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) publisher: Publisher,
    pub(crate) doorbells: Doorbells,
    /// Folders that datasets may lie in.
    pub(crate) roots: DatasetRoots,
    /// Where manifests are written.
    pub(crate) artifacts: Url,
    /// Fetches images by URL.
    pub(crate) fetcher: Fetcher,
    /// Finds similar images.
    pub(crate) similar: Similar,
    /// Cancelled when the coordinator is to end.
    pub(crate) stop: CancellationToken,
    /// Background work that ends with `stop`.
    pub(crate) tracker: TaskTracker,
}
