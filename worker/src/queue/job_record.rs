//! What a worker tells the store about one job.
//!
//! Owns the waiting: an outage of the store delays jobs and fails none. Does not own what follows from an answer.

use std::{fmt, time::Duration};

use common::{
    job::{envelope::Envelope, outcome::ItemResult},
    store::{Finish, Heartbeat, Holder, Isolation, JobEnd, JobRef, NodeFinish, Snooze, Start, StoreError},
    training::tree::Node,
};

use crate::worker::Worker;

/// Snooze before the store is asked again when it does not serve.
pub(super) const STORE_PAUSE: Duration = Duration::from_secs(1);

/// One job as the store knows it.
pub(super) struct JobRecord<'a> {
    pub(super) job: &'a Envelope,
    worker: &'a Worker,
    name: String,
}

impl<'a> JobRecord<'a> {
    pub(super) fn new(worker: &'a Worker, job: &'a Envelope) -> Self {
        Self { job, worker, name: job.args.name() }
    }

    /// Sets the started mark.
    pub(super) async fn start(&self, redelivered: bool, company: Isolation) -> Result<Start, StoreError> {
        let (store, deadline_ms) = (&self.worker.store, self.job.deadline_ms);
        until_served(|| store.start_job(self.key(), self.holder(), redelivered, company, deadline_ms)).await
    }

    /// Shows that the job is in progress, and asks whether its result is still wanted. Does not wait.
    pub(super) async fn touch(&self) -> Result<Heartbeat, StoreError> {
        self.worker.store.heartbeat_job(self.key(), self.worker.instance, self.job.deadline_ms).await
    }

    /// Applies the results and sets the done mark.
    pub(super) async fn finish(&self, results: &[(u64, ItemResult)]) -> Result<Finish, StoreError> {
        until_served(|| self.worker.store.finish_job(self.key(), JobEnd::Done, results)).await
    }

    /// Applies the answer of one node of a training pass.
    pub(super) async fn finish_node(
        &self,
        version: u64,
        node: Node,
        bytes: &[u8],
    ) -> Result<NodeFinish, StoreError> {
        let (store, run) = (&self.worker.store, self.job.submission);
        until_served(|| store.finish_node(run, &self.name, version, node, bytes)).await
    }

    /// Keeps what an attempt resolved and why it stopped.
    pub(super) async fn suspend(
        &self,
        error: &str,
        delay: Duration,
        results: &[(u64, ItemResult)],
    ) -> Result<Finish, StoreError> {
        let store = &self.worker.store;
        until_served(|| store.record_failed_attempt(self.key(), self.holder(), error, delay, results)).await
    }

    /// Notes until when and why the job is deferred; returns also how long that is from now.
    pub(super) async fn pause(&self, pause: &Snooze) -> Result<(Finish, Duration), StoreError> {
        let store = &self.worker.store;
        let now_ms = until_served(|| store.now_ms()).await?;
        let finish = until_served(|| store.snooze_job(self.key(), self.worker.instance, pause)).await?;
        Ok((finish, Duration::from_millis(pause.until_ms.saturating_sub(now_ms))))
    }

    /// Takes the started mark back. Does not wait.
    pub(super) async fn release(&self) -> Result<(), StoreError> {
        self.worker.store.release_job(self.key(), self.worker.instance).await
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

/// Calls the store until it serves.
async fn until_served<T, F: Future<Output = Result<T, StoreError>>>(
    mut call: impl FnMut() -> F,
) -> Result<T, StoreError> {
    loop {
        match call().await {
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "waiting for the store");
                tokio::time::sleep(STORE_PAUSE).await;
            }
            result => return result,
        }
    }
}
