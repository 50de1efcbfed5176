//! The worker's record in Redis: identity, heartbeat and job counts.

use std::time::{Duration, Instant};

use common::{
    job::kind::Kind,
    stage::Stage,
    store::{StageRecord, Store, StoreError, WorkerRecord},
};
use tokio_util::sync::CancellationToken;

use super::counts::JobCounts;

/// Time limit for deregistering.
const DEREGISTER_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends heartbeats until `stop`, then deregisters the worker. Once `draining` is cancelled, it immediately sends one
/// with the state *draining*.
pub async fn run(
    store: Store,
    record: WorkerRecord,
    counts: JobCounts,
    draining: CancellationToken,
    stages: Vec<(&'static str, Stage)>,
    stop: CancellationToken,
) {
    let mut meters: Vec<StageMeter> = stages.into_iter().map(StageMeter::new).collect();
    loop {
        let finished = Kind::ALL.map(|kind| counts.finished(kind)).iter().sum();
        let is_draining = draining.is_cancelled();
        let record = WorkerRecord {
            draining: is_draining,
            jobs_in_flight: Some(counts.in_flight() as u64),
            jobs_finished: Some(finished),
            stages: meters.iter_mut().map(StageMeter::read).collect(),
            ..record.clone()
        };
        let beat = async {
            if let Err(error) = send(&store, &record).await {
                tracing::warn!(%error, "cannot record the worker's heartbeat");
            }
            tokio::select! {
                () = draining.cancelled(), if !is_draining => {}
                () = tokio::time::sleep(WorkerRecord::HEARTBEAT_EVERY) => {}
            }
        };
        if stop.run_until_cancelled(beat).await.is_none() {
            break;
        }
    }
    match tokio::time::timeout(DEREGISTER_TIMEOUT, store.deregister_worker(record.instance)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "cannot deregister; the worker will be listed as lost"),
        Err(_) => tracing::warn!("cannot deregister in time; the worker will be listed as lost"),
    }
}

/// Measures a stage between heartbeats.
struct StageMeter {
    name: &'static str,
    stage: Stage,
    busy: Duration,
    read: Instant,
}

impl StageMeter {
    fn new((name, stage): (&'static str, Stage)) -> Self {
        Self { name, busy: stage.busy(), stage, read: Instant::now() }
    }

    fn read(&mut self) -> StageRecord {
        let (busy, now) = (self.stage.busy(), Instant::now());
        let share = (busy - self.busy).as_secs_f64() / (now - self.read).as_secs_f64().max(1e-9);
        (self.busy, self.read) = (busy, now);
        StageRecord { stage: self.name.to_owned(), depth: self.stage.depth(), busy: share.min(1.0) }
    }
}

/// Sends a heartbeat. Also registers the embedding space again, as it may have been dropped meanwhile.
async fn send(store: &Store, record: &WorkerRecord) -> Result<(), StoreError> {
    if let Some(space) = &record.space {
        store.register_space(space, &format!("{}, version {}", record.name, record.version)).await?;
    }
    store.record_heartbeat(record).await
}
