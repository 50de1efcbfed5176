//! Hosts that crawls leave alone for a while, as an operator sees them.
//!
//! Owns ending such a pause early. Does not own when a host is paused: workers decide that with every answer.

use common::store::{HostBackoff, Store};

use super::error::RequestError;
use crate::api::HostBackoffView;

/// Returns the hosts that are left alone.
///
/// # Errors
/// When the store does not serve.
pub(crate) async fn list(store: &Store) -> Result<Vec<HostBackoffView>, RequestError> {
    Ok(store.backoffs().await?.into_iter().map(HostBackoffView::from).collect())
}

/// Ends the pause of a host, and wakes the jobs that wait for it. Returns how it stood.
///
/// # Errors
/// When the host is not paused, or the store does not serve.
pub(crate) async fn resume(store: &Store, host: &str) -> Result<HostBackoffView, RequestError> {
    let source = list(store).await?.into_iter().find(|source| source.host == host);
    let source = source.ok_or_else(|| {
        RequestError::NotFound(format!(
            "no crawl leaves the host '{host}' alone: `subwatch status` lists those that are left alone"
        ))
    })?;
    store.end_backoff(host).await?;
    for id in store.active_submissions().await? {
        store.wake_snoozed_jobs(id, host).await?;
    }
    Ok(source)
}

impl From<HostBackoff> for HostBackoffView {
    fn from(source: HostBackoff) -> Self {
        let HostBackoff { host, reason, by, since_ms, until_ms, probing } = source;
        Self { host, reason, by, since_ms, until_ms, probing }
    }
}
