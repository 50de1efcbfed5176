//! Updates of one job in the store. They retry while Redis is unavailable, so an outage delays jobs but fails none.

use std::{fmt, time::Duration};

use common::{
    job::{envelope::Envelope, outcome::ItemResult},
    store::{
        Finish, Heartbeat, Holder, Isolation, JobEnd, JobRef, NodeFinish, Results, Snooze, Start, StoreError,
    },
    training::tree::Node,
};

use crate::worker::Worker;

/// Delay before a retry while Redis is unavailable.
pub(super) const STORE_RETRY_DELAY: Duration = Duration::from_secs(1);

/// One job in the store.
pub(super) struct JobRecord<'a> {
    pub(super) job: &'a Envelope,
    worker: &'a Worker,
    name: String,
}

impl<'a> JobRecord<'a> {
    pub(super) fn new(worker: &'a Worker, job: &'a Envelope) -> Self {
        Self { job, worker, name: job.args.name() }
    }

    /// Records that the job is started.
    pub(super) async fn start(&self, redelivered: bool, isolation: Isolation) -> Result<Start, StoreError> {
        let (store, deadline_ms) = (&self.worker.store, self.job.deadline_ms);
        retry_while_unavailable(|| {
            store.start_job(self.key(), self.holder(), redelivered, isolation, deadline_ms)
        })
        .await
    }

    /// Records that the job is in progress, and returns whether its result is still wanted. Does not retry.
    pub(super) async fn heartbeat(&self) -> Result<Heartbeat, StoreError> {
        self.worker.store.heartbeat_job(self.key(), self.worker.instance, self.job.deadline_ms).await
    }

    /// Applies the results and records that the job is done.
    pub(super) async fn finish(&self, results: &[(u64, ItemResult)]) -> Result<Finish, StoreError> {
        let (store, results) = (&self.worker.store, self.computed(results));
        retry_while_unavailable(|| store.finish_job(self.key(), JobEnd::Done, results)).await
    }

    /// Applies the result of one node of a training pass.
    pub(super) async fn finish_node(
        &self,
        version: u64,
        node: Node,
        bytes: &[u8],
    ) -> Result<NodeFinish, StoreError> {
        let (store, run) = (&self.worker.store, self.job.submission);
        retry_while_unavailable(|| store.finish_node(run, &self.name, version, node, bytes)).await
    }

    /// Stores the results and the error of a failed attempt.
    pub(super) async fn record_failed_attempt(
        &self,
        error: &str,
        delay: Duration,
        results: &[(u64, ItemResult)],
    ) -> Result<Finish, StoreError> {
        let (store, results) = (&self.worker.store, self.computed(results));
        retry_while_unavailable(|| {
            store.record_failed_attempt(self.key(), self.holder(), error, delay, results)
        })
        .await
    }

    /// Records the snooze; also returns its remaining time.
    pub(super) async fn snooze(&self, snooze: &Snooze) -> Result<(Finish, Duration), StoreError> {
        let store = &self.worker.store;
        let now_ms = retry_while_unavailable(|| store.now_ms()).await?;
        let finish =
            retry_while_unavailable(|| store.snooze_job(self.key(), self.worker.instance, snooze)).await?;
        Ok((finish, Duration::from_millis(snooze.until_ms.saturating_sub(now_ms))))
    }

    /// Records that the job is no longer started. Does not retry.
    pub(super) async fn release(&self) -> Result<(), StoreError> {
        self.worker.store.release_job(self.key(), self.worker.instance).await
    }

    /// Results of this worker, with the class of the device that computed them.
    fn computed<'b>(&'b self, items: &'b [(u64, ItemResult)]) -> Results<'b> {
        let class = self.worker.device_class.as_ref();
        Results { items, device_class: class.filter(|_| self.job.kind().needs_model()) }
    }

    fn key(&self) -> JobRef<'_> {
        JobRef { submission: self.job.submission, name: &self.name, generation: self.job.generation }
    }

    fn holder(&self) -> Holder<'_> {
        Holder { instance: self.worker.instance, worker: &self.worker.name }
    }
}

impl fmt::Display for JobRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.job.job.fmt(f)
    }
}

/// Retries `call` while Redis is unavailable.
async fn retry_while_unavailable<T, F: Future<Output = Result<T, StoreError>>>(
    mut call: impl FnMut() -> F,
) -> Result<T, StoreError> {
    loop {
        match call().await {
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "waiting for Redis");
                tokio::time::sleep(STORE_RETRY_DELAY).await;
            }
            result => return result,
        }
    }
}
