//! The worker's entry in the register: who it is and that it lives.

use std::time::Duration;

use common::store::{Store, WorkerRecord};
use tokio_util::sync::CancellationToken;

/// How often a worker shows that it lives; a third of the silence after which it counts as lost.
const BEAT_EVERY: Duration = Duration::from_secs(5);

/// Beats until `stop`, then signs off.
pub async fn beat(store: Store, record: WorkerRecord, stop: CancellationToken) {
    loop {
        if let Err(error) = store.beat(&record).await {
            tracing::warn!(%error, "a heartbeat was lost");
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(BEAT_EVERY) => {}
        }
    }
    if let Err(error) = store.sign_off(record.boot).await {
        tracing::warn!(%error, "signing off failed; the worker will be shown as lost");
    }
}
