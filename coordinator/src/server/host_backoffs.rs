//! Lists the hosts that crawls back off from, and ends a back-off early.
//!
//! Workers start back-offs, from the responses they receive.

use common::store::{HostBackoff, Store};

use super::error::RequestError;
use crate::api::HostBackoffView;

pub(crate) async fn list(store: &Store) -> Result<Vec<HostBackoffView>, RequestError> {
    Ok(store.backoffs().await?.into_iter().map(HostBackoffView::from).collect())
}

/// Ends the back-off of a host and wakes the jobs that are snoozed for it. Returns the back-off as it was.
///
/// # Errors
/// `NotFound` if the host has no back-off.
pub(crate) async fn resume(store: &Store, host: &str) -> Result<HostBackoffView, RequestError> {
    let backoff = list(store).await?.into_iter().find(|backoff| backoff.host == host);
    let backoff = backoff.ok_or_else(|| {
        RequestError::NotFound(format!(
            "host '{host}' is not in back-off; `subwatch status` lists the hosts that are"
        ))
    })?;
    store.end_backoff(host).await?;
    for id in store.active_submissions().await? {
        store.wake_snoozed_jobs(id, host).await?;
    }
    Ok(backoff)
}

impl From<HostBackoff> for HostBackoffView {
    fn from(backoff: HostBackoff) -> Self {
        let HostBackoff { host, reason, by, since_ms, until_ms, probing } = backoff;
        Self { host, reason, reported_by: by, since_ms, until_ms, probing }
    }
}
