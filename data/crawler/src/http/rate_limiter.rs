//! Waits for a request slot of a host, and releases the slot however the request ends.
//!
//! Owns the order of requests within this process. The rate limits are applied by the store, for the whole fleet.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use common::store::{Admission, Lease, Limits, Store, StoreError, Verdict};
use tokio::runtime::Handle;
use url::Url;

use super::{WebError, host::host_name, throttle::Throttle};

pub(super) struct RateLimiter {
    store: Store,
    /// Shown to operators as the holder of a slot.
    worker: String,
    locks: HostLocks,
}

/// One lock per host: requests of this process queue in order, and only the first one polls the store.
#[derive(Default)]
struct HostLocks(Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>);

impl HostLocks {
    fn lock_of(&self, host: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.0.lock().expect("no holder of this lock panics");
        if let Some(lock) = locks.get(host).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        locks.retain(|_, lock| lock.strong_count() > 0);
        locks.insert(host.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

impl RateLimiter {
    pub(super) fn new(store: Store, worker: &str) -> Self {
        Self { store, worker: worker.to_owned(), locks: HostLocks::default() }
    }

    /// Waits until a request to the host of `url` may start. Delays and back-offs that it causes are recorded for
    /// `own`, if that is given (see [`super::host::own_host`]), instead of the host. Those of both are respected.
    ///
    /// The order is fair within a process. Across processes, the first to ask the store wins; random jitter
    /// keeps one process from winning every time.
    pub(super) async fn admit(
        &self,
        url: &Url,
        limits: Limits,
        own: Option<String>,
    ) -> Result<RequestSlot, WebError> {
        let own = match own {
            Some(own) => {
                let unlimited = Limits { min_interval: Duration::ZERO, concurrency: u32::MAX, ..limits };
                Some(self.admit_to(own, unlimited).await?)
            }
            None => None,
        };
        let mut slot = self.admit_to(host_name(url), limits).await?;
        slot.own = own.map(Box::new);
        Ok(slot)
    }

    async fn admit_to(&self, host: String, limits: Limits) -> Result<RequestSlot, WebError> {
        let lock = self.locks.lock_of(&host);
        let _guard = lock.lock().await;
        loop {
            // A separate task finishes even if this future is dropped, so a granted slot is always released.
            let (store, worker, name) = (self.store.clone(), self.worker.clone(), host.clone());
            let admission = tokio::spawn(async move {
                let admission = store.admit(&name, limits, &worker).await?;
                Ok::<_, StoreError>(match admission {
                    Admission::Granted(lease) => {
                        SlotAdmission::Granted(Box::new(RequestSlot::new(store, lease)))
                    }
                    Admission::Wait(time) => SlotAdmission::Wait(time),
                    Admission::BackedOff { until_ms, reason } => {
                        SlotAdmission::BackedOff { until_ms, reason }
                    }
                })
            });
            let shutting_down = |_| StoreError::Unavailable("the worker is shutting down".to_owned());
            match admission.await.map_err(shutting_down)?? {
                SlotAdmission::Granted(slot) => return Ok(*slot),
                SlotAdmission::Wait(time) => {
                    let jitter = limits.min_interval.mul_f64(rand::random_range(0.0..0.1));
                    tokio::time::sleep(time + jitter).await;
                }
                SlotAdmission::BackedOff { until_ms, reason } => {
                    return Err(WebError::BackedOff { host, until_ms, reason });
                }
            }
        }
    }
}

/// An [`Admission`] that releases its slot when it is dropped.
enum SlotAdmission {
    Granted(Box<RequestSlot>),
    Wait(Duration),
    BackedOff { until_ms: u64, reason: String },
}

/// The slot of one request, released when it is dropped.
pub(super) struct RequestSlot {
    store: Store,
    lease: Option<Lease>,
    /// The slot that delays and back-offs are recorded for.
    own: Option<Box<RequestSlot>>,
    /// Reported to the store when the slot is released.
    verdict: Verdict,
}

impl RequestSlot {
    fn new(store: Store, lease: Lease) -> Self {
        Self { store, lease: Some(lease), own: None, verdict: Verdict::Failed }
    }

    /// Records that the response headers have arrived, or that the request has failed.
    pub(super) fn response_started(&mut self) {
        for lease in self.lease.iter_mut().chain(self.own.iter_mut().flat_map(|own| &mut own.lease)) {
            lease.response_began();
        }
    }

    /// Records that the host serves requests, even if the resource does not exist.
    pub(super) fn mark_ok(&mut self) {
        self.verdict = Verdict::Ok;
        if let Some(own) = &mut self.own {
            own.verdict = Verdict::Ok;
        }
    }

    /// Records that the host throttles requests, and returns the error for the job.
    pub(super) async fn throttle(&mut self, throttle: Throttle, backoff: Duration) -> WebError {
        if let Some(own) = &mut self.own {
            return Box::pin(own.throttle(throttle, backoff)).await;
        }
        let host = self.lease.as_ref().map(|lease| lease.host().to_owned()).unwrap_or_default();
        match throttle {
            Throttle::RetryAfter { delay, message: reason } => {
                self.verdict = Verdict::RetryAfter(delay);
                let released = async {
                    self.release().await?;
                    self.store.now_ms().await
                };
                match released.await {
                    Ok(now_ms) => {
                        let until_ms = now_ms + delay.as_millis() as u64;
                        WebError::BackedOff { host, until_ms, reason }
                    }
                    Err(error) => error.into(),
                }
            }
            Throttle::BackOff { at_least, message: reason } => {
                self.verdict = Verdict::Blocked { reason: reason.clone(), backoff: backoff.max(at_least) };
                match self.release().await {
                    Ok(until_ms) => {
                        let until_ms = until_ms.unwrap_or_default();
                        WebError::BackedOff { host, until_ms, reason }
                    }
                    Err(error) => error.into(),
                }
            }
        }
    }

    /// Releases the slot with its verdict. Returns the end of the host's back-off in ms of Redis's clock, if the
    /// host is in back-off. After an error, dropping the slot tries again.
    pub(super) async fn release(&mut self) -> Result<Option<u64>, StoreError> {
        if let Some(own) = &mut self.own {
            Box::pin(own.release()).await?;
        }
        let Some(lease) = &self.lease else { return Ok(None) };
        let until_ms = self.store.finish_request(lease, &self.verdict).await?;
        self.lease = None;
        Ok(until_ms)
    }
}

impl Drop for RequestSlot {
    fn drop(&mut self) {
        let (Some(lease), Ok(runtime)) = (self.lease.take(), Handle::try_current()) else { return };
        let (store, verdict) = (self.store.clone(), self.verdict.clone());
        runtime.spawn(async move {
            if let Err(error) = store.finish_request(&lease, &verdict).await {
                let host = lease.host();
                tracing::warn!(%error, host, "could not release a request slot; its lease will expire");
            }
        });
    }
}
