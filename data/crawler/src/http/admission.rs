//! The place of a request among those that its host allows: waiting for it, and giving it back whatever happens.
//!
//! Owns the order within this process. Does not own the rate limits, which the store applies for the whole fleet.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use common::store::{Admission, Lease, Limits, Store, StoreError, Verdict};
use tokio::runtime::Handle;
use url::Url;

use super::{WebError, host::name_of, refusal::Refusal};

/// Admits the requests of this process.
pub(super) struct Admissions {
    store: Store,
    /// Who asks, for people.
    worker: String,
    locks: HostLocks,
}

/// Whose turn it is in this process, by host: requests come in order, and one of them asks the store.
#[derive(Default)]
struct HostLocks(Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>);

impl HostLocks {
    fn of(&self, host: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.0.lock().expect("no holder of this lock panics");
        if let Some(queue) = locks.get(host).and_then(Weak::upgrade) {
            return queue;
        }
        let queue = Arc::new(tokio::sync::Mutex::new(()));
        locks.retain(|_, queue| queue.strong_count() > 0);
        locks.insert(host.to_owned(), Arc::downgrade(&queue));
        queue
    }
}

impl Admissions {
    pub(super) fn new(store: Store, worker: &str) -> Self {
        Self { store, worker: worker.to_owned(), locks: HostLocks::default() }
    }

    /// Waits until a request to the host of `url` may start.
    ///
    /// Turns are fair within a process. Between processes the store lets in whoever asks first; each comes
    /// back a little later than it was told, by chance, so that none is always the first.
    pub(super) async fn admit(&self, url: &Url, limits: Limits) -> Result<RequestSlot, WebError> {
        let host = name_of(url);
        let queue = self.locks.of(&host);
        let _turn = queue.lock().await;
        loop {
            // In a task of its own, so that nobody who stops waiting now leaves a place behind.
            let (store, worker, name) = (self.store.clone(), self.worker.clone(), host.clone());
            let admission = tokio::spawn(async move {
                let admission = store.admit(&name, limits, &worker).await?;
                Ok::<_, StoreError>(match admission {
                    Admission::Go(lease) => Admitted::Go(Box::new(RequestSlot::new(store, lease))),
                    Admission::Wait(time) => Admitted::Wait(time),
                    Admission::BackedOff { until_ms, reason } => Admitted::BackedOff { until_ms, reason },
                })
            });
            let ends = |_| StoreError::Unavailable("this worker ends".to_owned());
            match admission.await.map_err(ends)?? {
                Admitted::Go(place) => return Ok(*place),
                Admitted::Wait(time) => {
                    let chance = rand::random_range(0.0..0.1);
                    tokio::time::sleep(time + limits.min_interval.mul_f64(chance)).await;
                }
                Admitted::BackedOff { until_ms, reason } => {
                    return Err(WebError::BackedOff { host, until_ms, reason });
                }
            }
        }
    }
}

/// An [`Admission`] whose place is given back wherever it is dropped.
enum Admitted {
    Go(Box<RequestSlot>),
    Wait(Duration),
    BackedOff { until_ms: u64, reason: String },
}

/// The place of one request.
pub(super) struct RequestSlot {
    store: Store,
    lease: Option<Lease>,
    /// What is known so far.
    verdict: Verdict,
}

impl RequestSlot {
    fn new(store: Store, lease: Lease) -> Self {
        Self { store, lease: Some(lease), verdict: Verdict::Failed }
    }

    /// Notes that the answer begins now, or that there will be none.
    pub(super) fn answered(&mut self) {
        if let Some(lease) = &mut self.lease {
            lease.answered();
        }
    }

    /// Notes that the host serves us, whether or not it has what was asked for.
    pub(super) fn serves(&mut self) {
        self.verdict = Verdict::Ok;
    }

    /// Notes that the host refuses us, and returns what to tell the job.
    pub(super) async fn refuse(&mut self, url: &Url, refusal: Refusal, pause: Duration) -> WebError {
        match refusal {
            Refusal::Wait { time, what } => {
                self.verdict = Verdict::RetryAfter(time);
                let given_back = async {
                    self.give_back().await?;
                    self.store.now_ms().await
                };
                match given_back.await {
                    Ok(now_ms) => WebError::BackedOff {
                        host: name_of(url),
                        until_ms: now_ms + time.as_millis() as u64,
                        reason: format!("it {what}"),
                    },
                    Err(error) => error.into(),
                }
            }
            Refusal::Enough { least, what: reason } => {
                self.verdict = Verdict::Blocked { reason: reason.clone(), pause: pause.max(least) };
                match self.give_back().await {
                    Ok(until_ms) => {
                        let until_ms = until_ms.unwrap_or_default();
                        WebError::BackedOff { host: name_of(url), until_ms, reason }
                    }
                    Err(error) => error.into(),
                }
            }
        }
    }

    /// Gives the place back with what is known. Returns until when the host is paused, in Redis's time, if it
    /// is. After an error, it is tried once more when the place is dropped.
    pub(super) async fn give_back(&mut self) -> Result<Option<u64>, StoreError> {
        let Some(lease) = &self.lease else { return Ok(None) };
        let until_ms = self.store.finished(lease, &self.verdict).await?;
        self.lease = None;
        Ok(until_ms)
    }
}

impl Drop for RequestSlot {
    fn drop(&mut self) {
        let (Some(lease), Ok(runtime)) = (self.lease.take(), Handle::try_current()) else { return };
        let (store, verdict) = (self.store.clone(), self.verdict.clone());
        runtime.spawn(async move {
            if let Err(error) = store.finished(&lease, &verdict).await {
                tracing::warn!(%error, host = lease.host(), "a place is not given back: its lease runs out by itself");
            }
        });
    }
}
