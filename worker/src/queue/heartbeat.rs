//! The worker's entry in the register: its identity, that it is alive, and its counts of jobs.

use std::time::Duration;

use common::{
    job::kind::Kind,
    store::{Store, StoreError, WorkerRecord},
};
use tokio_util::sync::CancellationToken;

use super::counts::JobCounts;

/// Longest that signing off may take.
const SIGN_OFF_LIMIT: Duration = Duration::from_secs(2);

/// Beats until `stop`, with what `counts` says, then signs off. Once `draining` is cancelled it says that
/// too, at once.
pub async fn record_heartbeat(
    store: Store,
    record: WorkerRecord,
    counts: JobCounts,
    draining: CancellationToken,
    stop: CancellationToken,
) {
    loop {
        let finished = Kind::ALL.map(|kind| counts.finished(kind)).iter().sum();
        let drains = draining.is_cancelled();
        let record = WorkerRecord {
            draining: drains,
            jobs_in_flight: Some(counts.in_flight() as u64),
            jobs_finished: Some(finished),
            ..record.clone()
        };
        let beat = async {
            if let Err(error) = show(&store, &record).await {
                tracing::warn!(%error, "a heartbeat was lost");
            }
            tokio::select! {
                () = draining.cancelled(), if !drains => {}
                () = tokio::time::sleep(WorkerRecord::BEAT_EVERY) => {}
            }
        };
        if stop.run_until_cancelled(beat).await.is_none() {
            break;
        }
    }
    match tokio::time::timeout(SIGN_OFF_LIMIT, store.deregister_worker(record.instance)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "signing off failed; the worker will be shown as lost"),
        Err(_) => tracing::warn!("signing off takes too long; the worker will be shown as lost"),
    }
}

/// Beats, and registers the space again: it may have been dropped while this worker embeds into it.
async fn show(store: &Store, record: &WorkerRecord) -> Result<(), StoreError> {
    if let Some(space) = &record.space {
        store.register_space(space, &format!("{}, version {}", record.name, record.version)).await?;
    }
    store.record_heartbeat(record).await
}
