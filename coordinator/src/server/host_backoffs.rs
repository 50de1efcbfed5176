//! Lists the hosts that crawls back off from, and ends a back-off early.
//!
//! Workers start back-offs, from the responses they receive.

use common::store::{HostBackoff, Store};

use super::error::RequestError;
use crate::api::HostBackoffView;

pub(crate) async fn list(store: &Store) -> Result<Vec<HostBackoffView>, RequestError> {
    Ok(store.backoffs().await?.into_iter().map(HostBackoffView::from).collect())
}

/// Ends the back-offs of a host and wakes the jobs that are snoozed for it. Returns one of them as it was.
///
/// # Errors
/// `NotFound` if the host has no back-off.
pub(crate) async fn resume(store: &Store, host: &str) -> Result<HostBackoffView, RequestError> {
    let backoffs = store.backoffs().await?;
    let of_host: Vec<HostBackoff> =
        backoffs.into_iter().filter(|backoff| host_and_base(&backoff.host).0 == host).collect();
    let backoff = of_host.first().cloned().ok_or_else(|| {
        RequestError::NotFound(format!(
            "host '{host}' is not in back-off; `subwatch status` lists the hosts that are"
        ))
    })?;
    for backoff in &of_host {
        store.end_backoff(&backoff.host).await?;
    }
    for id in store.active_submissions().await? {
        store.wake_snoozed_jobs(id, host).await?;
    }
    Ok(backoff.into())
}

/// Splits the fleet's name for a host, which may have the kind and base of requests after it.
fn host_and_base(name: &str) -> (&str, Option<&str>) {
    name.split_once(' ').map_or((name, None), |(host, base)| (host, Some(base)))
}

impl From<HostBackoff> for HostBackoffView {
    fn from(backoff: HostBackoff) -> Self {
        let HostBackoff { host, reason, by, since_ms, until_ms, probing } = backoff;
        let (host, base) = host_and_base(&host);
        let (host, base) = (host.to_owned(), base.map(str::to_owned));
        Self { host, base, reason, reported_by: by, since_ms, until_ms, probing }
    }
}
