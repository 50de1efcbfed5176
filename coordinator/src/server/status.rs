//! System status: workers, queues, back-offs, quotas and the newest submissions.

use std::collections::BTreeSet;

use common::{
    embedding::Space,
    store::{QuotaUse, RegisteredWorker, StageRecord, WorkerRecord},
    topology::Route,
    training::protocol::head_fingerprint,
};

use super::{context::Context, error::RequestError, host_backoffs, spaces::Fleet, submissions};
use crate::api::{QueueView, QuotaView, StageView, StatusView, WorkerView, WorkersView};

/// Number of submissions that the status shows.
const SUBMISSIONS: usize = 10;

pub(crate) async fn workers(context: &Context) -> Result<WorkersView, RequestError> {
    let workers = context.store.workers().await?;
    Ok(WorkersView { workers: workers.into_iter().map(WorkerView::from).collect() })
}

pub(crate) async fn status(context: &Context) -> Result<StatusView, RequestError> {
    let store = &context.store;
    let workers = store.workers().await?;
    let fleet = Fleet::of(&workers);
    let waiting = submissions::waiting(context, &fleet).await?;
    let mut spaces: BTreeSet<Space> =
        workers.iter().filter_map(|worker| worker.record.space.clone()).collect();
    spaces.extend(waiting.iter().filter_map(|view| view.space.clone()));
    let spaces: Vec<Space> = spaces.into_iter().collect();
    let mut queues = Vec::new();
    for route in Route::all(&[head_fingerprint()], &spaces) {
        let queue = route.queue_name();
        let ready = context.publisher.queue_depth(&queue).await;
        queues.push(QueueView { queue, ready });
    }
    let now_ms = store.now_ms().await?;
    let newest = store.submissions(None, SUBMISSIONS).await?;
    Ok(StatusView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        workers: workers.iter().cloned().map(WorkerView::from).collect(),
        queues,
        broker_connected: context.publisher.is_connected(),
        dead_letters: store.dead_letter_count().await?,
        host_backoffs: host_backoffs::list(store).await?,
        quotas: store.quota_usage().await?.into_iter().map(QuotaView::from).collect(),
        waiting,
        submissions: newest.iter().map(|submission| submissions::view(submission, now_ms, &fleet)).collect(),
    })
}

impl From<RegisteredWorker> for WorkerView {
    fn from(worker: RegisteredWorker) -> Self {
        let RegisteredWorker { record, state } = worker;
        let WorkerRecord {
            instance,
            name,
            version,
            kinds,
            device,
            device_class,
            threads,
            space,
            spaces: _,
            random_weights: _,
            places: _,
            reads_ranges: _,
            fingerprints,
            started_ms,
            draining,
            jobs_in_flight,
            jobs_finished,
            stages,
            seen_ms,
        } = record;
        Self {
            instance,
            name,
            version,
            kinds: kinds.into_iter().map(|kind| kind.name().to_owned()).collect(),
            device,
            device_class,
            threads,
            space,
            fingerprints,
            started_ms,
            draining,
            jobs_in_flight,
            jobs_finished,
            stages: stages.into_iter().map(StageView::from).collect(),
            last_heartbeat_ms: seen_ms,
            state,
        }
    }
}

impl From<StageRecord> for StageView {
    fn from(StageRecord { stage, depth, busy }: StageRecord) -> Self {
        Self { stage, depth, busy }
    }
}

impl From<QuotaUse> for QuotaView {
    fn from(quota: QuotaUse) -> Self {
        let QuotaUse { key_hash, day, used, limit, resets_at_ms, refused } = quota;
        Self { key_hash, day, used, limit, resets_at_ms, refused }
    }
}
