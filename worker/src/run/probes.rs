//! What the worker's probes answer: started, ready, alive.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use common::{
    broker::Consumer,
    health::{Check, Health},
};
use tokio_util::sync::CancellationToken;

use crate::{
    queue::{counts::JobCounts, fatal_signal::FatalSignal, watchdog::Watchdog},
    worker::Worker,
};

/// Longest a readiness check waits for the store.
const READY_LIMIT: Duration = Duration::from_secs(2);

/// Answers probes at `address` until `ended`.
pub(super) async fn serve(address: Option<SocketAddr>, ended: &CancellationToken) -> anyhow::Result<Health> {
    let health = Health::default();
    if let Some(address) = address {
        let address = health.serve(address, ended.clone()).await.with_context(|| {
            format!("cannot listen on {address}, where SUBWATCH_HEALTH_ADDRESS wants the probes")
        })?;
        tracing::info!(%address, "probes are answered");
    }
    Ok(health)
}

/// Ready means consuming, and reaching the store.
pub(super) fn readiness(worker: &Arc<Worker>, consuming: Arc<AtomicBool>) -> Check {
    let worker = worker.clone();
    Box::new(move || {
        let (worker, consuming) = (worker.clone(), consuming.clone());
        Box::pin(async move {
            if !consuming.load(Ordering::Relaxed) {
                return Err("RabbitMQ is not consumed".to_owned());
            }
            match tokio::time::timeout(READY_LIMIT, worker.store.ping()).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) => Err("Redis does not serve".to_owned()),
            }
        })
    })
}

/// Alive means that the watch over the worker finds nothing wrong. It runs until `ended`.
pub(super) fn liveness(
    worker: &Arc<Worker>,
    counts: &JobCounts,
    fatal: &FatalSignal,
    consumer: &Consumer,
    ended: &CancellationToken,
) -> Check {
    let (consuming, reconnect) = (consumer.consuming(), consumer.reconnect());
    let watch = Arc::new(Watchdog::new(worker.clone(), counts.clone(), fatal.clone(), consuming, reconnect));
    let (watching, ended) = (watch.clone(), ended.clone());
    tokio::spawn(async move { ended.run_until_cancelled(watching.run()).await });
    Box::new(move || {
        let alive = watch.alive();
        Box::pin(async move { alive })
    })
}
